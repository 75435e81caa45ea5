import { newID } from '../src/api/ids'
import type * as words from '../src/api/words'
import type { Offer, Slot } from '../src/api/wire'
import type { OwnTrack } from '../src/media/peer'
import { mayShare } from '../src/media/publishing'
import type { Report } from '../src/media/stats'

export const wantedCipher = 'AEAD_AES_256_GCM'

/** A place for a screen, so that it can be shown; nothing else is sent here. */
export function ownTracks(_media: MediaStream | null, seats: readonly { role: words.Role }[]): OwnTrack[] {
  return mayShare(seats.map((s) => s.role)) ? [{ track: newID('trk'), source: 'screen', number: 2, media: null, layers: [] }] : []
}

/** Stands in for the media connection: draws a person for every video slot. */
export class Peer {
  leg: words.LegID | null = null
  readonly state = 'connected'
  readonly ice = 'connected'
  readonly sends = true
  private readonly drawn = new Map<words.TrackID, MediaStreamTrack>()
  private slots: Slot[] = []
  private received = 0

  offer(): Promise<Offer> {
    return Promise.resolve({ sdp: 'v=0', tracks: [] })
  }

  answer(_sdp: string, leg: words.LegID): Promise<void> {
    this.leg = leg
    return Promise.resolve()
  }

  follow(): Promise<void> {
    return Promise.resolve()
  }

  hold() {
    // nothing is lost here
  }

  replace(): Promise<void> {
    return Promise.resolve()
  }

  assign(slots: Slot[]) {
    this.slots = slots
    slots.forEach((s, i) => {
      if (!this.drawn.has(s.track)) this.drawn.set(s.track, s.source === 'audio' ? silence() : s.source === 'screen' ? drawPage() : drawPerson(i))
    })
  }

  streams(): { slot: Slot; media: MediaStreamTrack }[] {
    return this.slots.flatMap((slot) => {
      const media = this.drawn.get(slot.track)
      return media === undefined ? [] : [{ slot, media }]
    })
  }

  /** Numbers as a browser counts them, on a path that is well. */
  report(): Promise<Report> {
    this.received += 25
    const at = performance.now()
    return Promise.resolve([
      { id: 'T', type: 'transport', timestamp: at, packetsReceived: this.received, srtpCipher: wantedCipher, selectedCandidatePairId: 'P' },
      { id: 'P', type: 'candidate-pair', timestamp: at, currentRoundTripTime: 0.024, responsesReceived: 1, availableOutgoingBitrate: 2_400_000 },
      ...this.slots.map((s) => ({
        id: `I${s.mid}`, type: 'inbound-rtp', timestamp: at, mid: s.mid, kind: s.source === 'audio' ? 'audio' : 'video', packetsReceived: this.received,
        packetsLost: 0, bytesReceived: this.received * 900, jitter: 0.004, framesPerSecond: 15, frameWidth: 640, frameHeight: 360,
      })),
    ])
  }

  close() {
    for (const t of this.drawn.values()) t.stop()
  }
}

function silence(): MediaStreamTrack {
  return new MediaStreamAudioDestinationNode(new AudioContext()).stream.getAudioTracks()[0]
}

function drawPage(): MediaStreamTrack {
  const canvas = document.createElement('canvas')
  canvas.width = 1280
  canvas.height = 800
  const g = canvas.getContext('2d')
  if (g === null) throw new Error('no canvas')
  const draw = () => {
    g.fillStyle = '#fff'
    g.fillRect(0, 0, 1280, 800)
    g.fillStyle = '#223'
    g.font = '34px sans-serif'
    for (let i = 0; i < 14; i++) g.fillText(`${i + 1}.  Matkustusasiakirja, sivu ${i + 2}`, 90, 100 + i * 48)
  }
  draw()
  setInterval(draw, 500)
  return canvas.captureStream(2).getVideoTracks()[0]
}

function drawPerson(i: number): MediaStreamTrack {
  const canvas = document.createElement('canvas')
  canvas.width = 640
  canvas.height = 360
  const g = canvas.getContext('2d')
  if (g === null) throw new Error('no canvas')
  const hue = [24, 205, 150, 290][i % 4]
  const draw = () => {
    g.fillStyle = `hsl(${hue} 25% 78%)`
    g.fillRect(0, 0, 640, 360)
    g.fillStyle = `hsl(${hue} 30% 34%)`
    g.beginPath()
    g.ellipse(320, 400, 170, 150, 0, 0, Math.PI * 2)
    g.fill()
    g.fillStyle = 'hsl(26 42% 64%)'
    g.beginPath()
    g.ellipse(320, 170, 72, 92, 0, 0, Math.PI * 2)
    g.fill()
    g.fillStyle = 'hsl(20 30% 18%)'
    g.beginPath()
    g.ellipse(320, 108, 78, 52, 0, Math.PI, 0)
    g.fill()
  }
  draw()
  setInterval(draw, 200)
  return canvas.captureStream(5).getVideoTracks()[0]
}
