import type { Utterance, UtteranceKind } from '../api/model'
import { newID } from '../api/ids'
import { Problem } from '../api/problem'
import type { Micros } from '../api/words'

/** How long typing waits before it is sent: well inside the 500 ms that a crash may cost. */
export const saveAfter = 250

export type SaveState = 'saved' | 'saving' | 'unsaved' | 'conflict'

export interface LinesState {
  lines: Utterance[]
  save: SaveState
}

interface Pending {
  text: string
  kind: UtteranceKind
}

/**
 * The transcript as it is typed. Every change is sent within `saveAfter` of the
 * first keystroke, not of the last, so that steady typing is saved too; what
 * could not be sent stays here and is sent again until it is.
 */
export class Lines {
  private state: LinesState
  private readonly listeners = new Set<() => void>()
  private readonly sent = new Map<string, Pending>()
  private timer: ReturnType<typeof setTimeout> | null = null
  private sending = false
  private failures = 0
  private readonly put: (line: Utterance) => Promise<{ version: number }>

  constructor(lines: Utterance[], put: (line: Utterance) => Promise<{ version: number }>) {
    this.put = put
    this.state = { lines, save: 'saved' }
    for (const l of lines) this.sent.set(l.utterance, { text: l.text, kind: l.kind })
  }

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
  readonly snapshot = () => this.state

  /** Adds a line at that moment of the hearing, after another or at the end. */
  add(kind: UtteranceKind, at: Micros): Utterance {
    const line: Utterance = { utterance: newID('utt'), kind, text: '', at: Math.round(at), version: 0 }
    this.set({ lines: [...this.state.lines, line] })
    return line
  }

  /** Changes a line. An empty one gets the moment at which its first word was typed. */
  change(id: string, change: Partial<Pick<Utterance, 'text' | 'kind'>>, at: Micros) {
    const lines = this.state.lines.map((l) => (l.utterance !== id ? l : { ...l, ...change, at: l.text === '' && l.version === 0 ? Math.round(at) : l.at }))
    this.set({ lines, save: this.state.save === 'saved' ? 'saving' : this.state.save })
    this.schedule(saveAfter)
  }

  /** Sends what is not sent yet, now. */
  flush(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    return this.send()
  }

  close() {
    void this.flush()
  }

  private unsent(): Utterance[] {
    return this.state.lines.filter((l) => {
      const s = this.sent.get(l.utterance)
      return s === undefined ? l.text.trim() !== '' : s.text !== l.text || s.kind !== l.kind
    })
  }

  private schedule(after: number) {
    this.timer ??= setTimeout(() => {
      this.timer = null
      void this.send()
    }, after)
  }

  private async send() {
    if (this.sending) return
    this.sending = true
    try {
      for (let line = this.unsent().at(0); line !== undefined; line = this.unsent().at(0)) {
        const now: Pending = { text: line.text, kind: line.kind }
        const { version } = await this.put(line)
        const id = line.utterance
        this.sent.set(id, now)
        this.set({ lines: this.state.lines.map((l) => (l.utterance === id ? { ...l, version } : l)) })
      }
      this.failures = 0
      this.set({ save: 'saved' })
    } catch (thrown) {
      const conflict = Problem.of(thrown).document.code === 'conflict'
      this.set({ save: conflict ? 'conflict' : 'unsaved' })
      this.schedule(Math.min(500 * 2 ** this.failures++, 5000))
    } finally {
      this.sending = false
    }
  }

  private set(change: Partial<LinesState>) {
    this.state = { ...this.state, ...change }
    for (const l of this.listeners) l()
  }
}
