// Made from the Go source by web/gen. Do not edit: run `go run ./web/gen`.

/** a case: one applicant's matter */
export type CaseID = `cas_${string}`
/** one hearing of a case */
export type HearingID = `hrg_${string}`
/** a person in a role at a hearing */
export type ParticipantID = `par_${string}`
/** where a participant sits */
export type SeatID = `set_${string}`
/** an attested device of the register */
export type DeviceID = `dev_${string}`
/** a security agreement */
export type AgreementID = `agr_${string}`
/** a named room at a named address */
export type PremisesID = `pre_${string}`
/** one device's media connection */
export type LegID = `leg_${string}`
/** a page instance or a recorder */
export type MemberID = `mem_${string}`
/** the set of members that share keys */
export type GroupID = `grp_${string}`
/** one track of one page instance */
export type TrackID = `trk_${string}`
/** a visit at a kiosk */
export type VisitID = `vis_${string}`
/** a join ticket */
export type TicketID = `tkt_${string}`
/** one recorder's recording of a hearing */
export type RecordingID = `rec_${string}`
/** one line of the transcript */
export type UtteranceID = `utt_${string}`
/** one correction */
export type AmendmentID = `amd_${string}`
/** a sealed version of the transcript */
export type RecordID = `rcd_${string}`
/** a note that may have to go alone */
export type NoteID = `nte_${string}`
/** an audit event */
export type EventID = `evt_${string}`
/** a call for help at a kiosk */
export type CallID = `cal_${string}`
/** a waiting number of a visitor */
export type NumberID = `num_${string}`

/** AnchorKind says at what occasion an anchor was logged. */
export const anchorKinds = ['opening', 'resume', 'recorder', 'takeover'] as const
export type AnchorKind = (typeof anchorKinds)[number]

/** Role is what a participant is at a hearing. */
export const roles = ['interviewer', 'applicant', 'counsel', 'interpreter', 'representative', 'security-office', 'administrator', 'officer'] as const
export type Role = (typeof roles)[number]

/** Mode is how a hearing is held. */
export const modes = ['in-person', 'remote'] as const
export type Mode = (typeof modes)[number]

/** Purpose is what a join ticket opens the door for. */
export const purposes = ['hearing', 'review', 'preparation'] as const
export type Purpose = (typeof purposes)[number]

/** Verdict is the outcome of any check of a person, device, document or place. */
export const verdicts = ['verified', 'asserted', 'undetermined', 'failed', 'not done'] as const
export type Verdict = (typeof verdicts)[number]

/** Phase is where a hearing stands. Phases belong to this package alone; other
 * rooms ask for a transition. */
export const phases = ['waiting', 'on-record', 'paused', 'consultation', 'ended'] as const
export type Phase = (typeof phases)[number]

/** Cause says why a phase began. */
export const causes = ['opened', 'interviewer', 'requested', 'recorder-lost', 'connection-lost', 'interviewer-lost', 'abandoned'] as const
export type Cause = (typeof causes)[number]

/** RecorderState is what a recorder says of itself: another word than the phase. */
export const recorderStates = ['starting', 'recording', 'behind', 'failed', 'stopped'] as const
export type RecorderState = (typeof recorderStates)[number]

/** Source is what a track carries. */
export const sources = ['audio', 'video', 'screen'] as const
export type Source = (typeof sources)[number]

/** Code names a problem in every channel: lower case, words joined by hyphens. */
export const codes = ['internal', 'malformed', 'too-large', 'too-fast', 'not-found', 'conflict', 'no-route', 'unavailable', 'forbidden', 'not-ready', 'manufacturer-unknown', 'device-not-named', 'no-permanent-identifier', 'certificate-invalid', 'posture-stale', 'posture-drift', 'quote-refused', 'device-revoked', 'start-code', 'bearer', 'origin', 'sign-in', 'bundle-invalid', 'agreement-state', 'agreement-signature', 'justification-needed', 'vulnerability-open', 'not-booked', 'device-not-seated', 'seat-taken', 'premises', 'no-agreement', 'too-early', 'too-late', 'not-admitted', 'declined', 'ticket-invalid', 'ticket-used', 'ticket-stale', 'ticket-device', 'ticket-hearing', 'statement-invalid', 'roster-invalid', 'clock', 'phase', 'recorder-missing', 'media-refused', 'stalled', 'sealed', 'reasons-needed', 'outcome-set', 'not-delivered', 'recording-state', 'evidence', 'purpose-needed', 'erased', 'kept', 'kiosk-visit', 'chip'] as const
export type Code = (typeof codes)[number]

/** Way names what a person can still do. Every refusal carries one (row C9). */
export const ways = ['retry', 'sign-in', 'ask-staff', 'ask-office', 'agency', 'centre', 'interviewer', 'kiosk', 'reload', 'administrator', 'correct-input', 'other-browser', 'new-ticket'] as const
export type Way = (typeof ways)[number]

/** A moment on the hearing clock: microseconds since the hearing was opened. */
export type Micros = number

/** Check is one check with its verdict and the code of its reason. */
export interface Check {
  name: string
  verdict: Verdict
  reason: string
}

/** Document is the problem as it travels: RFC 9457 members and ours. */
export interface Document {
  type: string
  title: string
  status: number
  detail?: string
  code: Code
  way: Way
  rule?: string
}

