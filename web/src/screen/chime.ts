let context: AudioContext | null = null

/** Two soft notes. Where the browser holds sound back, the number is still there to see. */
export async function chime() {
  context ??= new AudioContext()
  if (context.state === 'suspended') await context.resume().catch(() => undefined)
  const { currentTime } = context
  for (const [i, hertz] of [784, 587].entries()) {
    const note = context.createOscillator()
    const loud = context.createGain()
    const from = currentTime + i * 0.45
    note.frequency.value = hertz
    loud.gain.setValueAtTime(0, from)
    loud.gain.linearRampToValueAtTime(0.4, from + 0.02)
    loud.gain.exponentialRampToValueAtTime(0.001, from + 0.9)
    note.connect(loud).connect(context.destination)
    note.start(from)
    note.stop(from + 1)
  }
}
