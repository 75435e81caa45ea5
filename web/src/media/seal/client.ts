import type * as signed from '../../api/signed'
import type * as words from '../../api/words'
import type { FrameCounts, Heard, InForce, KnownMember, RosterReason, Sealing } from '../sealing'
import type { Chunk } from './backup'
import type { Calls, Part } from './engine'
import { nameIs, type Pinned } from './members'

export interface Request {
  id: number
  call: keyof Calls
  args: unknown[]
}
export type Answer = { id: number; value: unknown } | { id: number; refused: string }
/** Under new keys a picture can be decoded from its next key frame on. */
export interface Wish {
  keyFrameOf: words.TrackID
}

/** Not in TypeScript's DOM yet (W3C WebRTC Extensions, section 5.4). */
interface MakesKeyFrames extends RTCRtpSender {
  setParameters(parameters: RTCRtpSendParameters, options?: { encodingOptions: { keyFrame: boolean }[] }): Promise<void>
}

/** The end of a worker that the page holds. */
export interface Port {
  postMessage(request: Request): void
  onmessage: ((event: MessageEvent<Answer | Wish>) => void) | null
  onerror: ((event: ErrorEvent) => void) | null
  terminate(): void
}

/**
 * The page's side of sealing: asks the worker, which alone holds keys, and
 * hangs its transforms into senders and receivers. With the worker's end all
 * keys of this page instance are gone.
 */
export class SealClient implements Sealing {
  readonly keys: { hpke: string; sign: string }
  private readonly line: Line
  private readonly senders = new Map<words.TrackID, MakesKeyFrames>()

  private constructor(line: Line, keys: { hpke: string; sign: string }) {
    this.line = line
    this.keys = keys
    line.onWish = ({ keyFrameOf }) => {
      const sender = this.senders.get(keyFrameOf)
      if (sender === undefined) return
      const parameters = sender.getParameters()
      sender.setParameters(parameters, { encodingOptions: parameters.encodings.map(() => ({ keyFrame: true })) }).catch(() => undefined)
    }
  }

  static async start(port: Port, setup: { hearing: words.HearingID; member: words.MemberID; pinned: Pinned }): Promise<SealClient> {
    const line = new Line(port)
    return new SealClient(line, await line.ask('start', setup))
  }

  async begin(group: words.GroupID): Promise<void> {
    await this.line.ask('begin', group)
  }

  async addMember(statement: string, admission: string): Promise<KnownMember> {
    const { member, recorder, seats } = await this.line.ask('addMember', statement, admission)
    return {
      member,
      recorder,
      seats: seats.length,
      nameIs: async (seat, salt, name) => {
        const admitted = seats.find((s) => s.seat === seat)
        return admitted !== undefined && nameIs(admitted, salt, name)
      },
    }
  }

  async forget(member: words.MemberID): Promise<void> {
    await this.line.ask('forget', member)
  }

  applyRoster(roster: string): Promise<InForce> {
    return this.line.ask('applyRoster', roster)
  }

  signRoster(members: words.MemberID[], reason: RosterReason, at: words.Micros): Promise<{ roster: string; inForce: InForce }> {
    return this.line.ask('signRoster', members, reason, at)
  }

  wraps(): Promise<string[]> {
    return this.line.ask('wraps')
  }

  async acceptWrap(wrap: string): Promise<void> {
    await this.line.ask('acceptWrap', wrap)
  }

  acceptHeartbeat(heartbeat: string): Promise<signed.Heartbeat> {
    return this.line.ask('acceptHeartbeat', heartbeat)
  }

  origins(): Promise<string[]> {
    return this.line.ask('origins')
  }

  backup(): Promise<Chunk[]> {
    return this.line.ask('backup')
  }

  seal(sender: RTCRtpSender, track: words.TrackID, source: words.Source, number: number) {
    this.senders.set(track, sender)
    sender.transform = this.transform({ side: 'seal', track, source, number })
  }

  open(receiver: RTCRtpReceiver, slot: number) {
    receiver.transform = this.transform({ side: 'open', slot, picture: receiver.track.kind === 'video' })
  }

  private transform(part: Part): RTCRtpScriptTransform {
    return new RTCRtpScriptTransform(this.line.port as unknown as Worker, part)
  }

  assign(slot: number, from: { member: words.MemberID; track: words.TrackID } | null) {
    this.line.tell('assign', slot, from)
  }

  setClock(offset: words.Micros) {
    this.line.tell('setClock', offset)
  }

  setLevel(track: words.TrackID, level: number) {
    this.line.tell('setLevel', track, Math.round(level))
  }

  levels(): Promise<Heard[]> {
    return this.line.ask('levels')
  }

  counts(): Promise<FrameCounts> {
    return this.line.ask('counts')
  }

  close() {
    this.line.close()
  }
}

/** Numbers the calls to the worker and waits for their answers. */
class Line {
  readonly port: Port
  onWish: (wish: Wish) => void = () => undefined
  private next = 1
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (why: Error) => void }>()
  private closed: Error | null = null

  constructor(port: Port) {
    this.port = port
    port.onmessage = ({ data }) => {
      if ('keyFrameOf' in data) {
        this.onWish(data)
        return
      }
      const waiter = this.waiting.get(data.id)
      this.waiting.delete(data.id)
      if ('refused' in data) waiter?.reject(new Error(data.refused))
      else waiter?.resolve(data.value as never)
    }
    port.onerror = () => this.fail(new Error('the sealing worker failed'))
  }

  ask<C extends keyof Calls>(call: C, ...args: Parameters<Calls[C]>): Promise<ReturnType<Calls[C]>> {
    return new Promise((resolve, reject) => {
      if (this.closed !== null) {
        reject(this.closed)
        return
      }
      const id = this.next++
      this.waiting.set(id, { resolve, reject })
      this.port.postMessage({ id, call, args })
    })
  }

  /** For what cannot fail. */
  tell<C extends keyof Calls>(call: C, ...args: Parameters<Calls[C]>) {
    this.ask(call, ...args).catch(() => undefined)
  }

  close() {
    this.port.terminate()
    this.fail(new Error('sealing has ended'))
  }

  private fail(why: Error) {
    this.closed = why
    for (const { reject } of this.waiting.values()) reject(why)
    this.waiting.clear()
  }
}
