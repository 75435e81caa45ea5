import type * as words from './words'

/** What there is today for whoever sits at this device. */
export interface Me {
  person: { subject: string; name: string; roles: words.Role[] } | null
  hearings: TodaysHearing[]
  tickets: WaitingTicket[]
  records: OpenRecord[]
  reviews: words.HearingID[] // of which the applicant is here with a ticket for the review
  places: Place[] // where a person can be booked to sit
}

export interface TodaysHearing {
  hearing: words.HearingID
  diary: string // "" where the caller is not told
  language: string
  mode: words.Mode | ''
  opens: string // RFC 3339
  closes: string
  phase: words.Phase
  role: words.Role // what the caller is there
  people: Person[]
  seats: { seat: words.SeatID; role: words.Role; name: string }[] // on this device, of people who have shown who they are
  tickets: words.TicketID[] // redeemed by this device
  awaited: words.Role[] // booked at this device, and have not shown who they are
}

export interface Person {
  participant: words.ParticipantID
  role: words.Role
  name: string
  place: string
}

export interface WaitingTicket {
  ticket: words.TicketID
  hearing: words.HearingID
  purpose: words.Purpose
  role: words.Role
}

export interface OpenRecord {
  record: words.RecordID
  role: words.Role
  version: number
  delivered: number // Unix seconds
}

export interface Place {
  device: words.DeviceID
  label: string
  premises: words.PremisesID
  place: string
  own: boolean // this very device
}

export interface Case {
  case: words.CaseID
  diary: string
  lodged: string // YYYY-MM-DD
  language: string
}

export interface Booking {
  case: words.CaseID
  language: string
  mode: words.Mode
  justification?: string
  opens: string
  closes: string
  participants: { role: words.Role; name: string; subject?: string; device: words.DeviceID; premises: words.PremisesID; born?: string; card?: string }[]
}

export const utteranceKinds = ['question', 'answer', 'rendering', 'note'] as const
export type UtteranceKind = (typeof utteranceKinds)[number]

/** One line of the transcript. */
export interface Utterance {
  utterance: words.UtteranceID
  kind: UtteranceKind
  text: string
  at: words.Micros
  version: number
}

export interface Transcript {
  utterances: Utterance[]
  record: words.RecordID | '' // newest sealed version
}

export interface Amendment {
  amendment: words.AmendmentID
  number: number
  utterance: words.UtteranceID | ''
  text: string
  role: words.Role
  made: number // Unix seconds
  answer: { decision: 'accepted' | 'noted' | 'disputed'; text: string } | null
}

/** A sealed version of the transcript with what stands beside it. */
export interface Record {
  record: words.RecordID
  hearing: words.HearingID
  version: number
  language: string // of the hearing
  sealed: number // Unix seconds
  hash: string
  delivered: number // Unix seconds; 0: not yet
  received: number
  utterances: Utterance[]
  amendments: Amendment[]
  outcome: { outcome: Outcome; reasons: string } | null
}

export type Outcome = 'confirmed' | 'confirmed-with-amendments' | 'refused' | 'no-reply'

/** How the reader leaves the record: J7. */
export interface Reading {
  outcome: Outcome
  reasons?: string
  declined_reasons?: boolean
}
