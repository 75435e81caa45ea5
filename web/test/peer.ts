import type * as words from '../src/api/words'
import type { Offer, Slot } from '../src/api/wire'

export const wantedCipher = 'AEAD_AES_256_GCM'

export const ownTracks = () => []

/** Stands in for the media connection: draws a person for every video slot. */
export class Peer {
  readonly state = 'connected'
  private readonly drawn = new Map<words.MemberID, MediaStreamTrack>()
  private slots: Slot[] = []

  offer(): Promise<Offer> {
    return Promise.resolve({ sdp: 'v=0', tracks: [] })
  }

  answer(): Promise<void> {
    return Promise.resolve()
  }

  assign(slots: Slot[]) {
    this.slots = slots
    slots.forEach((s, i) => {
      if (!this.drawn.has(s.member)) this.drawn.set(s.member, drawPerson(i))
    })
  }

  streams() {
    return new Map(this.slots.map((s) => [s.member, { audio: null, video: this.drawn.get(s.member) ?? null }]))
  }

  cipher(): Promise<string> {
    return Promise.resolve(wantedCipher)
  }

  close() {
    for (const t of this.drawn.values()) t.stop()
  }
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
