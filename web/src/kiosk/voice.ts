import { blob } from '../api/session'

export type Said = 'spoken' | 'silent' | 'stopped'

/** Speaks one text at a time: a new one ends the one before. */
export class Voice {
  private audio: HTMLAudioElement | null = null
  private address = ''
  private turn = 0
  private end: (() => void) | null = null

  /** Says a text and resolves when it has been said; `silent` where nothing here speaks the language. */
  async say(language: string, key: string, text: string): Promise<Said> {
    this.stop()
    const turn = this.turn
    const sound = await blob('/kiosk/voice', { language, key, text }).catch(() => null)
    if (turn !== this.turn) return 'stopped'
    if (sound === null) return 'silent'
    this.address = URL.createObjectURL(sound)
    const audio = new Audio(this.address)
    this.audio = audio
    try {
      const ended = new Promise<void>((resolve) => {
        this.end = resolve
        audio.onended = () => resolve()
        audio.onerror = () => resolve()
      })
      await audio.play()
      await ended
    } catch {
      return 'stopped' // a browser may hold sound back until the first touch
    }
    return turn === this.turn ? 'spoken' : 'stopped'
  }

  stop() {
    this.turn++
    if (this.audio !== null) {
      this.audio.onerror = null
      this.audio.pause()
      this.audio.removeAttribute('src') // else it goes on loading what is taken away below
      this.audio.load()
      this.audio = null
    }
    this.end?.()
    this.end = null
    if (this.address !== '') URL.revokeObjectURL(this.address)
    this.address = ''
  }
}
