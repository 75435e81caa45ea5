import { blob } from '../api/session'

/** Speaks one text at a time: a new one ends the one before. */
export class Voice {
  private audio: HTMLAudioElement | null = null
  private address = ''
  private turn = 0

  async say(language: string, key: string, text: string): Promise<void> {
    this.stop()
    const turn = this.turn
    const sound = await blob('/kiosk/voice', { language, key, text }).catch(() => null)
    if (sound === null || turn !== this.turn) return // no voice for it, or something else is to be said
    this.address = URL.createObjectURL(sound)
    this.audio = new Audio(this.address)
    // A browser may hold sound back until the first touch.
    await this.audio.play().catch(() => undefined)
  }

  stop() {
    this.turn++
    this.audio?.pause()
    this.audio = null
    if (this.address !== '') URL.revokeObjectURL(this.address)
    this.address = ''
  }
}
