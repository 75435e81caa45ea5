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
