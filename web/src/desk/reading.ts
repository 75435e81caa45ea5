import { send } from '../api/session'
import type * as words from '../api/words'
import { hashOf } from '../kiosk/Signature'

/** What somebody gave in one visit, by its outside; kiosk-bridge/piece.go has the same. */
export interface Given {
  visit: words.VisitID
  hearing: words.HearingID
  diary: string
  place: string
  ended: string
  pieces: { n: number; step: 'photo' | 'signature' | 'scan'; kind: string; sha256: string }[]
  read: number // times that it was read back
}

/** One of them, opened. */
export interface Piece {
  n: number
  step: 'photo' | 'signature' | 'scan'
  kind: string
  format: string
  sha256: string
  bytes: string // base64
}

export const given = {
  all: () => send<{ given: Given[] }>('GET', '/api/desk/given'),
  of: (hearing: words.HearingID) => send<{ given: Given[] }>('GET', `/api/hearings/${encodeURIComponent(hearing)}/given`),
  /** The device signs for the person who is signed in at it, for exactly this visit and purpose; then authority lets it be opened. */
  async read(visit: words.VisitID, hearing: words.HearingID, purpose: string): Promise<Piece[]> {
    const { signed } = await send<{ signed: string }>('POST', '/gw/reading', { visit, hearing, purpose: await hashOf(purpose) })
    const { pieces } = await send<{ pieces: Piece[] }>('POST', `/api/visits/${encodeURIComponent(visit)}/pieces`, { purpose, signed })
    return pieces
  },
}
