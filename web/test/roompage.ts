// A page in a real room without the screens: joins with a tone for a voice, and
// tells what its connection counts. Served and judged by a test of internal/app.
import { gateway } from '../src/api/http'
import type * as words from '../src/api/words'
import { makeSealing } from '../src/media/seal'
import { RoomClient } from '../src/media/room'

interface Scene {
  hearing: words.HearingID
  seats: { seat: words.SeatID; role: words.Role }[]
}

const connections: RTCPeerConnection[] = []
const Real = globalThis.RTCPeerConnection
globalThis.RTCPeerConnection = class extends Real {
  constructor(...args: ConstructorParameters<typeof Real>) {
    super(...args)
    connections.push(this)
  }
}

/** A voice that never rests: what is missing of it was lost. */
async function voice(): Promise<MediaStream> {
  const audio = new AudioContext()
  await audio.resume()
  const out = audio.createMediaStreamDestination()
  const tone = new OscillatorNode(audio, { type: 'sawtooth', frequency: 220 })
  tone.connect(new GainNode(audio, { gain: 0.2 })).connect(out)
  tone.start()
  return out.stream
}

/** How many packets of the voice were sent, as the browser counts them. */
async function sent(): Promise<number> {
  const connection = connections.findLast((c) => c.signalingState !== 'closed' && c.getTransceivers().length > 0)
  const all = [...((await connection?.getStats())?.values() ?? [])] as { type: string; kind?: string; packetsSent?: number }[]
  return all.find((s) => s.type === 'outbound-rtp' && s.kind === 'audio')?.packetsSent ?? 0
}

const scene = (await (await fetch('/scene')).json()) as Scene
const { trust } = await gateway.device()
const room = new RoomClient({ ...scene, tickets: [], trust, media: await voice(), makeSealing })
setInterval(() => {
  void sent().then((packets) => {
    const { stage, problem, muted } = room.snapshot()
    return fetch('/state', { method: 'POST', body: JSON.stringify({ stage, problem: problem?.code ?? '', muted, packets }) })
  })
}, 250)
await room.start()
