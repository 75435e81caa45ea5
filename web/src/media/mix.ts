import type * as words from '../api/words'
import type { SeatView, Slot } from '../api/wire'

/** What a listener hears: everybody in the room, the interpreter, or both with the room lowered while the interpreter speaks (G2). */
export const mixes = ['both', 'floor', 'interpreter'] as const
export type Mix = (typeof mixes)[number]

/** One voice as it comes. */
export interface Voice {
  track: words.TrackID
  member: words.MemberID
  interpreter: boolean
  media: MediaStreamTrack
  speaking: boolean
}

/** How far the room is lowered under the interpreter: still there, for tone and hesitation. */
export const ducked = 0.22
/** Seconds for which it stays lowered after the interpreter's last word. */
export const hold = 0.9

/** A voice is the interpreter's if the track says so, or if nobody else sits at its device. */
export function isInterpreter(slot: Pick<Slot, 'seat'>, seats: readonly SeatView[]): boolean {
  const whose = slot.seat === undefined ? seats : seats.filter((s) => s.seat === slot.seat)
  return whose.length > 0 && whose.every((s) => s.role === 'interpreter')
}

/**
 * The loudness of each voice, 0 to 1. Without an interpreter's voice in the room
 * everybody hears the room, whatever they chose: nobody is left without sound.
 */
export function gainsOf(mix: Mix, voices: readonly Pick<Voice, 'track' | 'interpreter'>[], interpreting: boolean): Map<words.TrackID, number> {
  const interpreter = voices.some((v) => v.interpreter)
  const floor = !interpreter ? 1 : mix === 'interpreter' ? 0 : mix === 'both' && interpreting ? ducked : 1
  return new Map(voices.map((v) => [v.track, v.interpreter ? (mix === 'floor' ? 0 : 1) : floor]))
}

/** Whether an interpreter speaks now or did a moment ago. */
export class Holding {
  private until = -Infinity

  see(speaking: boolean, seconds: number): boolean {
    if (speaking) this.until = seconds + hold
    return seconds < this.until
  }
}

/**
 * Plays voices, each with its own loudness. Changes are ramps: a step is heard
 * as a click. Chromium renders a remote voice into Web Audio only while an
 * element plays it too; that element is silent (see room/Sounds).
 */
export class Mixer {
  private readonly context = new AudioContext({ latencyHint: 'interactive' })
  private readonly playing = new Map<words.TrackID, { media: MediaStreamTrack; source: MediaStreamAudioSourceNode; gain: GainNode }>()

  /** Where the browser waits for a first click before it plays anything. */
  get silenced(): boolean {
    return this.context.state === 'suspended'
  }

  onChange(listener: () => void) {
    this.context.onstatechange = listener
  }

  resume(): Promise<void> {
    return this.context.resume()
  }

  play(voices: readonly Voice[], gains: ReadonlyMap<words.TrackID, number>) {
    for (const [track, p] of this.playing) {
      if (voices.some((v) => v.track === track && v.media === p.media)) continue
      p.source.disconnect()
      p.gain.disconnect()
      this.playing.delete(track)
    }
    for (const { track, media } of voices) {
      const gain = gains.get(track) ?? 1
      const p = this.playing.get(track)
      if (p !== undefined) {
        p.gain.gain.setTargetAtTime(gain, this.context.currentTime, gain < p.gain.gain.value ? 0.04 : 0.15)
        continue
      }
      const source = this.context.createMediaStreamSource(new MediaStream([media]))
      const node = new GainNode(this.context, { gain })
      source.connect(node).connect(this.context.destination)
      this.playing.set(track, { media, source, gain: node })
    }
  }

  close() {
    this.context.onstatechange = null
    void this.context.close()
  }
}
