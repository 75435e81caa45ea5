import type * as words from '../api/words'

/**
 * What outlives a page: in which hearing it was, and what it had turned off. It
 * opens nothing by itself (docs/decisions/0003): a session, a device and a seat
 * that the chair admitted are needed as before.
 */
export interface Stay {
  hearing: words.HearingID
  muted: boolean
  dark: boolean
  /** Unix milliseconds of the last sign of the stay. */
  at: number
}

const kept = 'kuule.stay'
/** As long as the door keeps a seat, and some more. */
const life = 10 * 60_000

export function readStay(text: string | null, now: number): Stay | null {
  try {
    const found = JSON.parse(text ?? '') as Partial<Record<keyof Stay, unknown>>
    const { hearing, at } = found
    if (typeof hearing !== 'string' || !hearing.startsWith('hrg_') || typeof at !== 'number' || now - at > life || at > now + life) return null
    return { hearing: hearing as words.HearingID, at, muted: found.muted === true, dark: found.dark === true }
  } catch {
    return null
  }
}

export const lastStay = () => readStay(localStorage.getItem(kept), Date.now())
export const keepStay = (stay: Omit<Stay, 'at'>) => localStorage.setItem(kept, JSON.stringify({ ...stay, at: Date.now() }))
export const endStay = () => localStorage.removeItem(kept)
