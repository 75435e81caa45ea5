/** Measures the own microphone: for the self-test's bar and for the level inside sealed frames. */
export class LevelMeter {
  private readonly context: AudioContext | null = null
  private readonly analyser: AnalyserNode | null = null
  private readonly samples = new Float32Array(1024)

  constructor(media: MediaStream | null) {
    if (media === null || media.getAudioTracks().length === 0) return
    this.context = new AudioContext()
    this.analyser = this.context.createAnalyser()
    this.analyser.fftSize = this.samples.length
    this.context.createMediaStreamSource(media).connect(this.analyser)
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
    void this.context?.close()
  }
}

/** Camera and microphone as the room uses them; what is missing is left out, never asked for twice. */
export async function ownMedia(): Promise<MediaStream | null> {
  const audio: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true }
  const video: MediaTrackConstraints = { width: 640, height: 360, frameRate: 15 }
  for (const wanted of [{ audio, video }, { audio }, { video }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(wanted)
    } catch {
      // The next best.
    }
  }
  return null
}
