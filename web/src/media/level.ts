/**
 * Measures an own microphone: for the self-test's bar and for the level inside
 * sealed frames. It listens to a twin of the track, which goes on when the track
 * is muted: so a person who speaks into a muted microphone can be told.
 */
export class LevelMeter {
  private readonly context: AudioContext | null = null
  private readonly analyser: AnalyserNode | null = null
  private readonly twin: MediaStreamTrack | null = null
  private readonly samples = new Float32Array(1024)

  constructor(track: MediaStreamTrack | null | undefined) {
    if (track === null || track === undefined) return
    this.context = new AudioContext()
    this.analyser = this.context.createAnalyser()
    this.analyser.fftSize = this.samples.length
    this.twin = track.clone()
    this.context.createMediaStreamSource(new MediaStream([this.twin])).connect(this.analyser)
  }

  /** Root mean square, 0 to 1. */
  rms(): number {
    if (this.analyser === null) return 0
    this.analyser.getFloatTimeDomainData(this.samples)
    return Math.sqrt(this.samples.reduce((sum, s) => sum + s * s, 0) / this.samples.length)
  }

  /** Level in -dBov: 0 loud, 127 silent (RFC 6464's scale). */
  dBov(): number {
    return Math.min(127, Math.max(0, Math.round(-20 * Math.log10(Math.max(this.rms(), 1e-7)))))
  }

  close() {
    this.twin?.stop()
    void this.context?.close()
  }
}

/** So many looks at a loud microphone that is off, before its owner is told, */
const talkLooks = 4
/** and at most so many quiet ones before that goes again. */
const quietLooks = 24

/** Tells when somebody speaks into a microphone that is off: not at a cough, and not anew after each pause between words. */
export class MutedTalk {
  private loud = 0
  private talks = false

  /** Takes one look, `loud` if the microphone is off and somebody is heard by it. */
  see(loud: boolean): boolean {
    this.loud = loud ? Math.min(this.loud + 1, quietLooks) : Math.max(0, this.loud - 1)
    this.talks = this.loud > (this.talks ? 0 : talkLooks)
    return this.talks
  }

  forget() {
    this.loud = 0
    this.talks = false
  }
}
