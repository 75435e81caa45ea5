import { codes, ways, type Code, type Document, type Way } from './words'

/** A problem as the whole system speaks of it: what happened, by which rule, and the way still open. */
export class Problem extends Error {
  readonly document: Document

  constructor(document: Document) {
    super(document.code)
    this.name = 'Problem'
    this.document = document
  }

  /** Reads the problem document of an HTTP answer; anything else is an internal problem. */
  static async from(response: Response): Promise<Problem> {
    try {
      return new Problem(readDocument(await response.json()))
    } catch {
      return new Problem(problemOf(response.status >= 500 ? 'unavailable' : 'internal'))
    }
  }

  /** Makes a problem of whatever was thrown. */
  static of(thrown: unknown): Problem {
    return thrown instanceof Problem ? thrown : new Problem(problemOf('internal'))
  }
}

/** Reads a document; codes and ways that this page does not know yet become those it does. */
export function readDocument(value: unknown): Document {
  const known = (value ?? {}) as Partial<Document>
  const code = codes.find((c) => c === known.code) ?? 'internal'
  const fallback = problemOf(code)
  return { ...fallback, ...known, code, way: ways.find((w) => w === known.way) ?? fallback.way }
}

const nearest: Partial<Record<Code, Way>> = { bearer: 'reload', 'start-code': 'reload', 'sign-in': 'sign-in', 'statement-invalid': 'reload', 'roster-invalid': 'reload', 'media-refused': 'reload' }

/** A document that the page itself makes, where no server could. */
export function problemOf(code: Code): Document {
  return { type: `urn:kuule:problem:${code}`, title: code, status: 0, code, way: nearest[code] ?? 'retry' }
}
