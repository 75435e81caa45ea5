import { Connection } from '../src/media/connection'
import { ownTracks } from '../src/media/peer'
import type { Sealing } from '../src/media/sealing'
import type { RoomSocket } from '../src/media/socket'
import type { Slot } from '../src/api/wire'
import { send } from './session'

const members: RTCPeerConnection[] = []
const Native = globalThis.RTCPeerConnection
globalThis.RTCPeerConnection = class extends Native {
  constructor(...args: ConstructorParameters<typeof Native>) {
    super(...args)
    members.push(this)
  }
}

/** What the page hears, since the look before. */
interface Heard {
  /** Longest time in which no packet of the others' sound came, in milliseconds. */
  gap: number
  /** Of its own voice, which comes back from the other: samples made up, of all. */
  concealed: number
  samples: number
  lost: number
  packets: number
  pair: string
  pairs: string[]
  connections: number
  agreed: string
}

const curve: EcKeyGenParams = { name: 'ECDSA', namedCurve: 'P-256' }

const events: string[] = []
const note = (what: string) => events.push(`${Math.round(performance.now())} ${what}`)

let slots: Slot[] = []
let media: RTCPeerConnection | null = null
let grown = { at: 0, packets: 0 }
let gap = 0

type Stats = Record<string, unknown>
const all = async (pc: RTCPeerConnection) => [...(await pc.getStats()).values()] as Stats[]

async function start(): Promise<void> {
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true })
  const audio = new AudioContext()
  const sound = audio.createMediaStreamDestination()
  const tone = audio.createOscillator()
  tone.connect(sound)
  tone.start()
  for (const t of microphone.getTracks()) t.stop()
  const sealing = { seal() {}, open() {}, assign() {} } as unknown as Sealing
  const socket = {
    async ask(type: string, body: { sdp?: string }) {
      if (type !== 'offer') return { type, body: {} }
      note('offer')
      for (let tries = 0; ; tries++) {
        try {
          const answer = await send<{ answer: string; leg: string; slots: Slot[] }>('POST', '/leg', { offer: body.sdp ?? '' })
          note(`answer ${answer.leg}`)
          slots = answer.slots
          setTimeout(() => connection.assign(slots))
          return { type: 'answer', body: { sdp: answer.answer, leg: answer.leg } }
        } catch (e) {
          note(String(e))
          if (tries === 20) throw e
          await new Promise((done) => setTimeout(done, 200))
        }
      }
    },
  } as unknown as RoomSocket
  const seats = [{ seat: 'seat_test', role: 'applicant' }] as unknown as Parameters<typeof ownTracks>[1]
  const connection = new Connection({
    certificate: await RTCPeerConnection.generateCertificate(curve),
    tracks: ownTracks(sound.stream, seats), sealing, socket,
    opened: () => undefined,
    changed: (h) => {
      if (h.lostAt !== null) note('lost')
    },
    failed: (thrown) => note(`failed ${String(thrown)}`),
  })
  await connection.admitted(undefined)
  const player = document.createElement('audio')
  document.body.append(player)
  setInterval(() => void look(connection, player), 20)
}

let playing = false
async function look(connection: Connection, player: HTMLAudioElement) {
  const own = connection.streams()
  if (own.length > 0 && !playing) {
    playing = true
    player.srcObject = new MediaStream([own[0].media])
    void player.play()
  }
  media = members.findLast((p) => p.signalingState !== 'closed' && p.getTransceivers().length > 1) ?? null
  if (media === null) return
  const now = performance.now()
  const heard = (await all(media)).filter((s) => s.type === 'inbound-rtp' && s.mid === slots.at(1)?.mid)
  const packets = heard.reduce((n, s) => n + Number(s.packetsReceived ?? 0), 0)
  if (packets > grown.packets || grown.at === 0) grown = { at: now, packets }
  gap = Math.max(gap, now - grown.at)
}

let before = { concealed: 0, samples: 0, lost: 0, packets: 0 }

async function report(): Promise<Heard & { events: string[] }> {
  const stats = media === null ? [] : await all(media)
  const sum = (name: string) => stats.filter((s) => s.type === 'inbound-rtp' && s.mid === slots.at(0)?.mid).reduce((n, s) => n + Number(s[name] ?? 0), 0)
  const now = { concealed: sum('concealedSamples'), samples: sum('totalSamplesReceived'), lost: sum('packetsLost'), packets: sum('packetsReceived') }
  const candidate = (id: unknown) => stats.find((s) => s.id === id)
  const name = (p: Stats | undefined) => {
    const c = candidate(p?.localCandidateId)
    return `${String(c?.address)}:${String(c?.port)} ${String(p?.state)} ${p?.nominated === true ? 'nominated' : ''} sent ${String(p?.packetsSent)} got ${String(p?.packetsReceived)} answered ${String(p?.responsesReceived)}`
  }
  const pairs = stats.filter((s) => s.type === 'candidate-pair')
  const chosen = pairs.find((p) => p.id === stats.find((s) => s.type === 'transport')?.selectedCandidatePairId)
  const found = {
    gap, concealed: now.concealed - before.concealed, samples: now.samples - before.samples, lost: now.lost - before.lost, packets: now.packets - before.packets,
    pair: candidate(chosen?.localCandidateId)?.address as string | undefined ?? '', pairs: pairs.map(name), connections: members.length, agreed: media?.currentRemoteDescription?.sdp ?? '', events: events.splice(0),
  }
  before = now
  gap = 0
  return found
}

Object.assign(globalThis, { moving: { start, report, change: () => void globalThis.dispatchEvent(new Event('online')) } })
