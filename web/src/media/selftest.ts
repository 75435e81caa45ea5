import { send } from '../api/session'
import { measureDirect } from './direct'
import { openPaths, serversOf, type Paths, type Relay, type Way } from './paths'

/** What was measured of one leg. Rates are bit/s, times milliseconds, loss a share from 0 to 1. */
export interface Figures {
  rtt: number
  jitter: number
  loss: number
  up: number
  down: number
}

export type LegResult =
  | { leg: Way; address: string; state: 'testing' }
  | { leg: Way; address: string; state: 'cut' } // something on the way does not let it through
  | { leg: Way; address: string; state: 'unmeasured' } // the server could not measure now
  | { leg: Way; address: string; state: 'works'; figures: Figures }

/** What all legs together mean for a hearing. */
export type Verdict = 'good' | 'detour' | 'weak' | 'cut' | 'unmeasured'

const connectWithin = 10_000
const echoes = 50
const echoEvery = 20
const echoBytes = 120
const echoWait = 800
/** A hearing needs a sixth of it; measuring more would disturb others on the same line. */
export const measuredRate = 3_000_000
const floodFor = 1500
const fillBytes = 1100
const queued = 64 << 10

// The first byte says what a packet is (sfu/relay, probe).
const code = (letter: string) => letter.charCodeAt(0)
const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

/** The figures of a way, from when each echo was sent and came back; null is one that never did. */
export function echoFigures(times: (number | null)[]): { rtt: number; jitter: number; loss: number } {
  const came = times.filter((t) => t !== null)
  if (came.length === 0) return { rtt: 0, jitter: 0, loss: 1 }
  const sorted = came.toSorted((a, b) => a - b)
  const steps = came.slice(1).map((t, i) => Math.abs(t - came[i]))
  return {
    rtt: sorted[Math.floor(sorted.length / 2)],
    jitter: steps.length === 0 ? 0 : steps.reduce((a, b) => a + b, 0) / steps.length,
    loss: 1 - came.length / times.length,
  }
}

/** Whether a leg carries a hearing: every voice, and a face. */
export function carries(f: Figures): boolean {
  return f.up >= 500_000 && f.down >= 500_000 && f.rtt <= 400 && f.loss <= 0.05
}

/** The ways in the order in which a browser takes them, of those that work: the media port before its relay, UDP before TCP. */
const order: readonly Way[] = ['direct-udp', 'direct-tcp', 'udp', 'tcp', 'tls']

/** The way that media will take; null where there is none. */
export function taken(results: LegResult[]): (LegResult & { state: 'works' }) | null {
  const works = results.filter((r) => r.state === 'works')
  return works.toSorted((a, b) => order.indexOf(a.leg) - order.indexOf(b.leg)).at(0) ?? null
}

/** UDP is the way of choice; the others carry a hearing too, later and less evenly. */
export function verdict(results: LegResult[]): Verdict {
  const works = results.filter((r) => r.state === 'works')
  if (works.length === 0) return results.some((r) => r.state === 'unmeasured') || results.length === 0 ? 'unmeasured' : 'cut'
  if (!works.some((r) => carries(r.figures))) return 'weak'
  return works.some((r) => r.leg.endsWith('udp') && carries(r.figures)) ? 'good' : 'detour'
}

/** host:port of a TURN address (RFC 7065). */
export function addressOf(url: string): string {
  return url.replace(/^turns?:/, '').replace(/\?.*$/, '')
}

/** A way that is to be measured; each address of a relay is one, and so is each of the media port. */
interface Measure {
  leg: Way
  address: string
  run(): Promise<LegResult>
  close(): void
}

/**
 * Measures every leg to the media server, one after the other, so that they do
 * not take each other's room; tells of each as soon as it is known.
 */
export async function measureLegs(tell: (results: LegResult[]) => void): Promise<LegResult[]> {
  const paths = await openPaths()
  const direct = (paths.direct ?? []).flatMap((address) => (['direct-udp', 'direct-tcp'] as const).map((leg): Measure => measureDirect(leg, address)))
  const relayed = (paths.servers ?? []).flatMap(({ leg, urls }) => urls.map((url): Measure => relayedBy(paths, leg, url)))
  const all = [...direct, ...relayed]
  const results: LegResult[] = all.map(({ leg, address }) => ({ leg, address, state: 'testing' }))
  tell([...results])
  try {
    for (const [i, measure] of all.entries()) {
      results[i] = await measure.run()
      tell([...results])
    }
  } finally {
    for (const measure of all) measure.close()
  }
  return results
}

function relayedBy(paths: Paths, leg: Relay, url: string): Measure {
  const line = new Line(paths, leg, url)
  const address = addressOf(url)
  return { leg, address, run: () => line.measure(address), close: () => line.close() }
}

/** One data channel to the media server's probe over one leg of the relay. */
class Line {
  private readonly leg: Relay
  private readonly pc: RTCPeerConnection
  private readonly channel: RTCDataChannel
  /** Connecting begins for all legs at once: one that is cut is known only after some time. */
  private readonly connected: Promise<'works' | 'cut' | 'unmeasured'>
  private hear: (packet: DataView) => void = () => undefined

  constructor(paths: Paths, leg: Relay, url: string) {
    this.leg = leg
    const servers = serversOf(paths, leg).map((s) => ({ ...s, urls: [url] }))
    this.pc = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: 'relay' })
    this.channel = this.pc.createDataChannel('path', { ordered: false, maxRetransmits: 0 })
    this.channel.binaryType = 'arraybuffer'
    this.channel.onmessage = (event: MessageEvent<ArrayBuffer>) => this.hear(new DataView(event.data))
    this.connected = this.connect()
  }

  private async connect(): Promise<'works' | 'cut' | 'unmeasured'> {
    try {
      const opened = new Promise<'works'>((done) => this.channel.addEventListener('open', () => done('works')))
      const failed = new Promise<'cut'>((done) => this.pc.addEventListener('connectionstatechange', () => this.pc.connectionState === 'failed' && done('cut')))
      await this.pc.setLocalDescription(await this.pc.createOffer())
      const { answer } = await send<{ answer: string }>('POST', '/api/paths/probe', { offer: this.pc.localDescription?.sdp ?? '' })
      await this.pc.setRemoteDescription({ type: 'answer', sdp: answer })
      return await Promise.race([opened, failed, wait(connectWithin).then(() => 'cut' as const)])
    } catch {
      return 'unmeasured'
    }
  }

  async measure(address: string): Promise<LegResult> {
    const state = await this.connected
    const { leg } = this
    if (state !== 'works') return { leg, address, state }
    try {
      const echo = await this.echo()
      const up = await this.up()
      const down = await this.down()
      return { leg, address, state: 'works', figures: { ...echo, up, down } }
    } catch {
      return { leg, address, state: 'cut' } // it broke under way
    } finally {
      this.close()
    }
  }

  private async echo() {
    const sent: number[] = []
    const times: (number | null)[] = Array.from({ length: echoes }, () => null)
    this.hear = (packet) => {
      if (packet.byteLength < 5 || packet.getUint8(0) !== code('e')) return
      const number = packet.getUint32(1)
      if (number < echoes) times[number] ??= performance.now() - sent[number]
    }
    const packet = new DataView(new ArrayBuffer(echoBytes))
    packet.setUint8(0, code('e'))
    for (let i = 0; i < echoes; i++) {
      packet.setUint32(1, i)
      sent.push(performance.now())
      this.channel.send(packet.buffer)
      await wait(echoEvery)
    }
    await wait(echoWait)
    return echoFigures(times)
  }

  private async up(): Promise<number> {
    const fill = new Uint8Array(fillBytes)
    fill[0] = code('f')
    const begun = performance.now()
    for (let sent = 0; performance.now() - begun < floodFor; ) {
      const due = ((performance.now() - begun) / 1000) * (measuredRate / 8)
      for (; sent < due && this.channel.bufferedAmount < queued; sent += fillBytes) this.channel.send(fill)
      await wait(5)
    }
    const counted = { answers: 0, bytes: 0, micros: 0 }
    this.hear = (packet) => {
      if (packet.byteLength !== 13 || packet.getUint8(0) !== code('c')) return
      counted.answers++
      counted.bytes += packet.getUint32(5)
      counted.micros += packet.getUint32(9)
    }
    // The question is lost like any packet; asked again, it adds what came after.
    for (let i = 0; i < 8 && (counted.answers === 0 || this.channel.bufferedAmount > 0); i++) {
      await wait(150)
      this.channel.send(new Uint8Array([code('c')]))
    }
    await wait(300)
    return counted.micros === 0 ? 0 : (counted.bytes * 8) / (counted.micros / 1e6)
  }

  private async down(): Promise<number> {
    const came = { bytes: 0, first: 0, last: 0, over: false }
    this.hear = (packet) => {
      if (packet.byteLength === 0) return
      if (packet.getUint8(0) === code('D')) came.over = true
      if (packet.getUint8(0) !== code('f')) return
      came.last = performance.now()
      if (came.first === 0) came.first = came.last
      else came.bytes += packet.byteLength
    }
    const ask = new DataView(new ArrayBuffer(7))
    ask.setUint8(0, code('d'))
    ask.setUint32(1, measuredRate)
    ask.setUint16(5, floodFor)
    for (let waited = 0; waited < 2 * floodFor && !came.over; waited += 100) {
      if (came.first === 0 && waited % 500 === 0) this.channel.send(ask.buffer) // again, where the wish was lost
      await wait(100)
    }
    return came.last === came.first ? 0 : (came.bytes * 8) / ((came.last - came.first) / 1000)
  }

  close() {
    this.pc.close()
  }
}
