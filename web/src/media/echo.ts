/**
 * The sound test of a room. It plays a row of tones and listens: does the
 * loudspeaker play, does the microphone send it back to those who speak, does
 * the room ring, and is anything heard while it is silent here: a voice, or the
 * tones of the same test in the room beside.
 */

/** Tones of the test, in Hz: apart from each other and from each other's overtones. */
export const tones = [620, 890, 1270, 1810, 2590] as const

/** Seconds: silence first, then each tone and the pause after it. */
export const timing = { quiet: 2.5, tone: 0.3, pause: 0.4, listen: 10 } as const

/** A moment of what a microphone hears, in dB of full scale. */
export interface Heard {
  /** Seconds. */
  at: number
  level: number
  /** Power at each tone, and around it. */
  tones: readonly { on: number; around: number }[]
}

/** A tone that was played: which one, and from when to when. */
export interface Played {
  tone: number
  from: number
  to: number
}

/** What the test found, in the order of weight. `fine` stands alone. */
export const findings = ['leak', 'voices', 'echo', 'ringing', 'noise', 'no-loudspeaker', 'fine'] as const
export type Finding = (typeof findings)[number]

/**
 * Power of one frequency in a run of samples, in dB of full scale: Goertzel's
 * algorithm under a Hann window, so that neighbours do not spill over.
 */
export function powerAt(samples: Float32Array, hz: number, rate: number): number {
  const n = samples.length
  const k = 2 * Math.cos((2 * Math.PI * hz) / rate)
  let [a, b] = [0, 0]
  for (let i = 0; i < n; i++) {
    const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (n - 1))
    ;[a, b] = [samples[i] * window + k * a - b, a]
  }
  // A full sine has (n/4)² under this window.
  return 10 * Math.log10(Math.max(1e-12, (a * a + b * b - k * a * b) / ((n / 4) * (n / 4))))
}

const beside = 90

export function hear(samples: Float32Array, rate: number, at: number): Heard {
  const level = 10 * Math.log10(Math.max(1e-12, samples.reduce((sum, s) => sum + s * s, 0) / samples.length))
  return {
    at, level,
    tones: tones.map((hz) => ({ on: powerAt(samples, hz, rate), around: Math.max(powerAt(samples, hz - beside, rate), powerAt(samples, hz + beside, rate)) })),
  }
}

const middle = (values: readonly number[], part = 0.5) => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted.length === 0 ? -120 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
}

const stands = (h: Heard, tone: number) => h.tones[tone].on > -65 && h.tones[tone].on - h.tones[tone].around > 15

/** What is heard while nobody here makes a sound. */
export function judgeSilence(quiet: readonly Heard[]): Finding[] {
  const found: Finding[] = []
  // Another room's row: at least two different tones, each for some moments.
  const foreign = tones.filter((_, tone) => quiet.filter((h) => stands(h, tone)).length >= 4)
  const levels = quiet.map((h) => h.level)
  if (foreign.length >= 2) found.push('leak')
  // Speech comes and goes; a fan does not.
  else if (middle(levels, 0.9) > -48 && middle(levels, 0.9) - middle(levels, 0.1) > 10) found.push('voices')
  if (found.length === 0 && middle(levels) > -45) found.push('noise')
  return found
}

/** How long tones go on in the room: seconds until one has fallen by 20 dB after its end, the way through the machine left out. */
function ringing(raw: readonly Heard[], played: readonly Played[]): number {
  const tails = played.flatMap(({ tone, from, to }) => {
    const here = raw.filter((h) => h.at >= from && h.at < to + timing.pause)
    const peak = Math.max(...here.map((h) => h.tones[tone].on))
    if (peak < -60) return []
    const onset = here.find((h) => h.tones[tone].on > peak - 6)?.at ?? from
    const end = to + (onset - from)
    const gone = here.find((h) => h.at > end && h.tones[tone].on < peak - 20)?.at ?? to + timing.pause
    return [gone - end]
  })
  return middle(tails)
}

/**
 * Judges a whole test from the bare microphone and from the sound as the room's
 * others get it (echo cancelled). The first two tones are the canceller's to
 * learn from.
 */
export function judge(raw: readonly Heard[], sent: readonly Heard[], played: readonly Played[]): Finding[] {
  const begin = played.at(0)?.from ?? Infinity
  const quiet = raw.filter((h) => h.at < begin)
  const found = judgeSilence(quiet)
  // Over somebody else's sounds nothing is to be told of one's own.
  if (found.includes('leak') || found.includes('voices')) return found
  const floor = (heard: readonly Heard[], tone: number) => middle(heard.filter((h) => h.at < begin).map((h) => h.tones[tone].on), 0.8)
  const comes = (heard: readonly Heard[], list: readonly Played[]) =>
    list.filter(({ tone, from, to }) => {
      const on = Math.max(...heard.filter((h) => h.at >= from && h.at < to + timing.pause).map((h) => h.tones[tone].on))
      return on > floor(heard, tone) + 15 && on > -70
    }).length
  const late = played.slice(2)
  if (late.length > 0 && comes(sent, late) * 2 > late.length) found.push('echo')
  if (comes(raw, played) * 2 < played.length) found.push('no-loudspeaker')
  else if (ringing(raw, played) > 0.2) found.push('ringing')
  return found.length === 0 ? ['fine'] : found.sort((a, b) => findings.indexOf(a) - findings.indexOf(b))
}

/** A row in which each tone differs from the one before, so that its end is seen. */
export function rowOf(random: () => number = Math.random): number[] {
  const row: number[] = []
  while (row.length < 7) {
    const next = Math.floor(random() * tones.length)
    if (next !== row.at(-1)) row.push(next)
  }
  return row
}

class Ear {
  readonly heard: Heard[] = []
  private readonly analyser: AnalyserNode
  private readonly samples = new Float32Array(2048)
  private readonly timer: ReturnType<typeof setInterval>

  constructor(context: AudioContext, media: MediaStream) {
    this.analyser = new AnalyserNode(context, { fftSize: this.samples.length })
    context.createMediaStreamSource(media).connect(this.analyser)
    this.timer = setInterval(() => {
      this.analyser.getFloatTimeDomainData(this.samples)
      this.heard.push(hear(this.samples, context.sampleRate, context.currentTime))
    }, 40)
  }

  close() {
    clearInterval(this.timer)
  }
}

const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** Opens the microphone as it is: nothing cancelled, nothing levelled. */
async function bare(device: string): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, ...(device === '' ? {} : { deviceId: device }) } })
}

/** The whole test: about eight seconds. `sent` is the sound as the room gets it. */
export async function testRoom(sent: MediaStream, device: string): Promise<Finding[]> {
  const raw = await bare(device)
  const context = new AudioContext()
  const [ear, others] = [new Ear(context, raw), new Ear(context, sent)]
  try {
    await wait(timing.quiet)
    const played: Played[] = []
    let at = context.currentTime + 0.05
    for (const tone of rowOf()) {
      const oscillator = new OscillatorNode(context, { frequency: tones[tone] })
      const gain = new GainNode(context, { gain: 0 })
      oscillator.connect(gain).connect(context.destination)
      gain.gain.setTargetAtTime(0.3, at, 0.005)
      gain.gain.setTargetAtTime(0, at + timing.tone, 0.005)
      oscillator.start(at)
      oscillator.stop(at + timing.tone + 0.1)
      played.push({ tone, from: at, to: at + timing.tone })
      at += timing.tone + timing.pause
    }
    await wait(at - context.currentTime + 0.2)
    return judge(ear.heard, others.heard, played)
  } finally {
    ear.close()
    others.close()
    for (const t of raw.getTracks()) t.stop()
    void context.close()
  }
}

/** Only listens, while somebody plays the test in the room beside. */
export async function listenOnly(device: string): Promise<Finding[]> {
  const raw = await bare(device)
  const context = new AudioContext()
  const ear = new Ear(context, raw)
  try {
    await wait(timing.listen)
    const found = judgeSilence(ear.heard)
    return found.length === 0 ? ['fine'] : found
  } finally {
    ear.close()
    for (const t of raw.getTracks()) t.stop()
    void context.close()
  }
}
