import { SealError } from './errors'

/**
 * RFC 8785 JSON (https://www.rfc-editor.org/rfc/rfc8785) of integers, texts,
 * lists and objects, as internal/canon writes it.
 */
export function canonical(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new SealError('malformed', 'number is not an exact integer')
    return String(value)
  }
  if (typeof value === 'string') {
    if (/\p{Surrogate}/u.test(value)) throw new SealError('malformed', 'text is not Unicode')
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object') throw new SealError('malformed', `a ${typeof value} has no canonical form`)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, v]) => `${canonical(name)}:${canonical(v)}`).join(',')}}`
}

const maxDepth = 32

/** Reads a text that must be byte for byte its own canonical form. */
export function parseCanonical(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new SealError('malformed', 'not JSON')
  }
  if (depth(value) > maxDepth || canonical(value) !== text) throw new SealError('malformed', 'not in canonical form')
  return value
}

function depth(value: unknown): number {
  if (value === null || typeof value !== 'object') return 0
  return 1 + Math.max(0, ...Object.values(value).map(depth))
}

/** What a field of a message is; a list may be null, as Go writes an empty one. */
export type Kind = 'integer' | 'text' | { list: Shape | 'text' }
export interface Shape {
  [field: string]: Kind
}

/** Checks that a value has exactly the fields of a shape, each of its kind. */
export function shaped(value: unknown, shape: Shape): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new SealError('malformed', 'not an object')
  const names = Object.keys(value)
  if (names.length !== Object.keys(shape).length) throw new SealError('malformed', 'fields are missing or unknown')
  for (const [name, kind] of Object.entries(shape)) {
    const v: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
    if (!fits(v, kind)) throw new SealError('malformed', `field ${name}`)
  }
  return value as Record<string, unknown>
}

function fits(value: unknown, kind: Kind): boolean {
  if (kind === 'integer') return typeof value === 'number'
  if (kind === 'text') return typeof value === 'string'
  if (value === null) return true
  if (!Array.isArray(value)) return false
  const { list } = kind
  for (const v of value as unknown[]) {
    if (list === 'text') {
      if (typeof v !== 'string') return false
    } else {
      shaped(v, list)
    }
  }
  return true
}
