import { send } from '../api/session'
import { constantRate } from './sdp'
import type { Figures, LegResult } from './selftest'

/**
 * The media port itself, tried and measured without the relay: one connection
 * sends sounds, another gets them back, over one network alone. Sounds in
 * constant bit rate need no time to grow, as pictures would.
 */

const connectWithin = 10_000
const measureFor = 3_000
const sounds = 6
/** Together about what is measured over a relay; one voice may have half a megabit at the server. */
const soundRate = 440_000

const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

/** Keeps of an answer's candidates those of one network and family of addresses. */
export function withWayAlone(sdp: string, network: 'udp' | 'tcp', six: boolean): string {
  return sdp.replace(/^a=candidate:\S+ \d+ (\S+) \d+ (\S+) .*\r?\n/gim, (line, protocol: string, address: string) =>
    protocol.toLowerCase() === network && address.includes(':') === six ? line : '',
  )
}

/** Without the feedback on arrivals nobody grows or shrinks by themselves what is to be measured. */
const unmeasured = (sdp: string) => sdp.replace(/^a=(rtcp-fb:\d+ transport-cc|extmap:\d+ \S*transport-wide-cc\S*)[^\n]*\n/gm, '')

/** The server's answer as if it had asked for as much. */
const atFullRate = (sdp: string) => constantRate(sdp).replace(/^(a=fmtp:\d+ [^\r\n]*useinbandfec[^\r\n]*)/gm, `$1;stereo=1;maxaveragebitrate=${soundRate}`)

type Counted = Record<string, unknown> & { type: string; kind?: string }

const sum = (all: Counted[], type: string, name: string) => all.filter((s) => s.type === type).reduce((n, s) => n + (typeof s[name] === 'number' ? s[name] : 0), 0)

/** What two looks at both ends tell. `up` and `down` are counted as they go over the wire, without headers. */
export function figuresOf(before: { from: Counted[]; to: Counted[] }, after: { from: Counted[]; to: Counted[] }, seconds: number): Figures {
  const moved = (end: 'from' | 'to', type: string, name: string) => sum(after[end], type, name) - sum(before[end], type, name)
  const sent = moved('from', 'outbound-rtp', 'packetsSent')
  const came = moved('to', 'inbound-rtp', 'packetsReceived')
  const lost = Math.max(0, moved('to', 'inbound-rtp', 'packetsLost')) // on the way there and back: the server leaves their numbers out
  const lostUp = moved('from', 'remote-inbound-rtp', 'packetsLost')
  const pair = after.from.find((s) => s.type === 'candidate-pair' && s.nominated === true && typeof s.currentRoundTripTime === 'number')
  const jitters = after.to.filter((s) => s.type === 'inbound-rtp' && typeof s.jitter === 'number').map((s) => s.jitter as number)
  return {
    rtt: 1000 * ((pair?.currentRoundTripTime as number | undefined) ?? 0),
    jitter: jitters.length === 0 ? 0 : (1000 * jitters.reduce((a, b) => a + b, 0)) / jitters.length,
    loss: came === 0 ? 1 : lost / (came + lost),
    up: sent === 0 ? 0 : ((moved('from', 'outbound-rtp', 'bytesSent') * 8) / seconds) * Math.min(1, Math.max(0, 1 - lostUp / sent)),
    down: (moved('to', 'inbound-rtp', 'bytesReceived') * 8) / seconds,
  }
}

/** One end of a measurement. */
class End {
  readonly pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' })

  async call(room: string, network: 'udp' | 'tcp', six: boolean): Promise<string> {
    await this.pc.setLocalDescription({ type: 'offer', sdp: unmeasured((await this.pc.createOffer()).sdp ?? '') })
    const body = { offer: this.pc.localDescription?.sdp ?? '', direct: true, ...(room === '' ? {} : { room }) }
    const { answer, room: given } = await send<{ answer: string; room: string }>('POST', '/api/paths/probe', body)
    await this.pc.setRemoteDescription({ type: 'answer', sdp: atFullRate(withWayAlone(answer, network, six)) })
    return given
  }

  async connected(): Promise<boolean> {
    for (const begun = performance.now(); performance.now() - begun < connectWithin; await wait(50)) {
      if (this.pc.connectionState === 'connected') return true
      if (this.pc.connectionState === 'failed') return false
    }
    return false
  }

  async report(): Promise<Counted[]> {
    return [...((await this.pc.getStats()) as unknown as ReadonlyMap<string, Counted>).values()]
  }
}

const onlyOpus = (t: RTCRtpTransceiver) => t.setCodecPreferences((RTCRtpReceiver.getCapabilities('audio')?.codecs ?? []).filter((c) => c.mimeType === 'audio/opus'))

/** Tries one network and address of the media port. Connecting begins at once: one that is cut is known only after some time. */
export function measureDirect(leg: 'direct-udp' | 'direct-tcp', address: string): { leg: 'direct-udp' | 'direct-tcp'; address: string; run(): Promise<LegResult>; close(): void } {
  const network = leg === 'direct-udp' ? 'udp' : 'tcp'
  const six = address.startsWith('[')
  const [from, to] = [new End(), new End()]
  const audio = new AudioContext()
  const out = new MediaStreamAudioDestinationNode(audio)
  const tone = new OscillatorNode(audio)
  tone.connect(out)
  tone.start()
  const senders: RTCRtpSender[] = []
  for (let i = 0; i < sounds; i++) {
    const sends = from.pc.addTransceiver(out.stream.getAudioTracks()[0].clone(), { direction: 'sendonly', sendEncodings: [{ maxBitrate: soundRate, active: false }] })
    const receives = to.pc.addTransceiver('audio', { direction: 'recvonly' })
    for (const t of [sends, receives]) onlyOpus(t)
    senders.push(sends.sender)
  }
  const called = from.call('', network, six).then(async (room) => ({ room, connected: await from.connected() }), () => null)

  const run = async (): Promise<LegResult> => {
    try {
      const first = await called
      if (first === null) return { leg, address, state: 'unmeasured' }
      if (!first.connected) return { leg, address, state: 'cut' }
      await to.call(first.room, network, six)
      if (!(await to.connected())) return { leg, address, state: 'cut' }
      for (const s of senders) {
        const parameters = s.getParameters()
        for (const e of parameters.encodings) e.active = true
        await s.setParameters(parameters)
      }
      await wait(500) // until everything flows
      const look = async () => ({ from: await from.report(), to: await to.report() })
      const before = await look()
      const begun = performance.now()
      await wait(measureFor)
      return { leg, address, state: 'works', figures: figuresOf(before, await look(), (performance.now() - begun) / 1000) }
    } catch {
      return { leg, address, state: 'cut' } // it broke under way
    } finally {
      close()
    }
  }
  const close = () => {
    from.pc.close()
    to.pc.close()
    if (audio.state !== 'closed') void audio.close()
  }
  return { leg, address, run, close }
}
