import type * as model from './model'
import type * as words from './words'

/**
 * The shapes of the server's answers (interview/api.go, transcript/api.go,
 * interview/record) as far as the pages read them, and what the pages make of
 * them. An empty list may come as null.
 */
export interface Me {
  device: words.DeviceID
  name?: string
  subject?: string
  roles: words.Role[] | null
  seats: MySeat[] | null
  tickets: MyTicket[] | null
  places?: model.Place[] | null
}

interface MySeat {
  hearing: words.HearingID
  seat: words.SeatID
  participant: words.ParticipantID
  role: words.Role
  name?: string
  mine: boolean
  place: string
  language: string
  opens: string
  closes: string
  phase: words.Phase
}

interface MyTicket {
  ticket: words.TicketID
  hearing: words.HearingID
  seat: words.SeatID
  role: words.Role
  purpose: words.Purpose
  expires: string
  redeemed: boolean
}

export interface Hearing {
  hearing: words.HearingID
  diary: string
  language: string
  mode: words.Mode
  opens: string
  closes: string
  participants: { participant: words.ParticipantID; role: words.Role; name: string }[] | null
  seats: { seat: words.SeatID; participant: words.ParticipantID; device: words.DeviceID; place: string }[] | null
  state: { phase: words.Phase }
}

/** Puts the device's seats, its tickets and the interviewer's own hearings together into one day. */
export function readMe(me: Me, own: Hearing[]): Omit<model.Me, 'records'> {
  const roles = me.roles ?? []
  const tickets = me.tickets ?? []
  const seats = me.seats ?? []
  const led = own.map((h) => readHearing(h, me.device))
  const others = [...new Set(seats.map((s) => s.hearing))].filter((id) => led.every((h) => h.hearing !== id))
  const joined = others.map((id): model.TodaysHearing => {
    const here = seats.filter((s) => s.hearing === id)
    const mine = here.filter((s) => s.mine)
    // Who shares a device with the applicant reads the applicant's pages.
    const first = mine.find((s) => s.role === 'applicant') ?? mine.at(0) ?? here[0]
    return {
      hearing: id, diary: '', mode: '', language: first.language, opens: first.opens, closes: first.closes, phase: first.phase, role: first.role,
      people: mine.map((s) => ({ participant: s.participant, role: s.role, name: s.name ?? '', place: s.place })),
      seats: mine.map((s) => ({ seat: s.seat, role: s.role, name: s.name ?? '' })),
      tickets: tickets.filter((t) => t.redeemed && t.hearing === id && t.purpose === 'hearing').map((t) => t.ticket),
      awaited: here.filter((s) => !s.mine).map((s) => s.role),
    }
  })
  return {
    person: me.name === undefined && roles.length === 0 ? null : { subject: me.subject ?? '', name: me.name ?? '', roles },
    hearings: [...led, ...joined].sort((a, b) => a.opens.localeCompare(b.opens)),
    tickets: tickets.filter((t) => !t.redeemed).map(({ ticket, hearing, purpose, role }) => ({ ticket, hearing, purpose, role })),
    reviews: tickets.filter((t) => t.redeemed && t.purpose === 'review' && t.role === 'applicant').map((t) => t.hearing),
    places: me.places ?? [],
  }
}

/** Whether sealed versions may be handed over here: to the applicant by a ticket for it. */
export function mayRead(h: model.TodaysHearing, me: Me): boolean {
  if (h.role !== 'applicant') return h.role === 'counsel' || h.role === 'representative'
  return (me.tickets ?? []).some((t) => t.redeemed && t.hearing === h.hearing && t.purpose === 'review')
}

function readHearing(h: Hearing, device: words.DeviceID): model.TodaysHearing {
  const seats = h.seats ?? []
  const people = (h.participants ?? []).map((p) => ({ ...p, place: seats.find((s) => s.participant === p.participant)?.place ?? '' }))
  return {
    hearing: h.hearing, diary: h.diary, language: h.language, mode: h.mode, opens: h.opens, closes: h.closes, phase: h.state.phase, role: 'interviewer',
    people,
    seats: seats
      .filter((s) => s.device === device)
      .flatMap((s) => people.filter((p) => p.participant === s.participant).map((p) => ({ seat: s.seat, role: p.role, name: p.name }))),
    tickets: [],
    awaited: [],
  }
}

export interface Listed {
  record: words.RecordID
  version: number
  at: number
  delivery?: Delivery
}

interface Delivery {
  participant: words.ParticipantID
  at: number
  received: number
}

export function readListed(records: Listed[], hearing: model.TodaysHearing): model.OpenRecord[] {
  return records.flatMap((r) => (r.delivery === undefined ? [] : [{ record: r.record, role: hearing.role, version: r.version, delivered: r.delivery.at }]))
}

interface After {
  deliveries: Delivery[] | null
  amendments:
    | {
        amendment: words.AmendmentID
        number: number
        utterance: words.UtteranceID | ''
        text: string
        by: words.ParticipantID
        at: number
        reply: { decision: 'accepted' | 'noted' | 'disputed'; text: string } | null
      }[]
    | null
  ending?: { outcome: model.Outcome; reasons: string }
}

interface Sealed {
  record: words.RecordID
  hearing: words.HearingID
  version: number
  signed: string
  content: string
  at: number
}

export interface Transcript {
  utterances: model.Utterance[] | null
  records: Sealed[] | null
}

export function readTranscript(t: Transcript): model.Transcript {
  return { utterances: t.utterances ?? [], record: (t.records ?? []).at(-1)?.record ?? '' }
}

export interface Review {
  sealed: Sealed
  after: After
}

interface Content {
  language: string
  participants: { participant: words.ParticipantID; role: words.Role }[]
  utterances: model.Utterance[]
}

/** Reads a sealed version; hand-over and receipt are those of the participant in that role. */
export async function readReview({ sealed, after }: Review, role: words.Role): Promise<model.Record> {
  const content = JSON.parse(sealed.content) as Content
  const roleOf = (id: words.ParticipantID) => content.participants.find((p) => p.participant === id)?.role ?? 'applicant'
  const deliveries = after.deliveries ?? []
  const delivery = deliveries.find((d) => roleOf(d.participant) === (role === 'interviewer' ? 'applicant' : role)) ?? deliveries.at(0)
  return {
    record: sealed.record, hearing: sealed.hearing, version: sealed.version, language: content.language, sealed: sealed.at, hash: await nameOf(sealed.signed),
    delivered: delivery?.at ?? 0,
    received: delivery?.received ?? 0,
    utterances: content.utterances,
    amendments: (after.amendments ?? []).map((a) => ({ amendment: a.amendment, number: a.number, utterance: a.utterance, text: a.text, role: roleOf(a.by), made: a.at, answer: a.reply })),
    outcome: after.ending ?? null,
  }
}

/** The name of a signed message: base64url SHA-256 of its compact text (internal/jws). */
async function nameOf(signed: string): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(signed)))
  return btoa(String.fromCharCode(...sum)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
