import { send } from '../api/session'
import type * as words from '../api/words'

/** Why a picture is taken at the room terminal (B21), as docs/protocol.md has it. */
export type Occasion = 'entered' | 'returned' | 'break' | 'asked'

/** What a better picture needs: all that the person learns of a comparison. */
export const needs = ['no-face', 'several-faces', 'face-too-small', 'too-dark', 'too-bright', 'blurred', 'turned-away', 'picture-unreadable'] as const
export type Need = (typeof needs)[number]

export interface Wanted {
  possible: boolean
  first: boolean
  asked: boolean
}

/** A line that was gone for longer, or a break that was longer, is an absence. */
export const lineGone = 30_000
export const longBreak = 60_000

/** Since when the line is gone and since when the hearing pauses; null: it is not. */
export interface Presence {
  lost: number | null
  paused: number | null
}

export const present: Presence = { lost: null, paused: null }

/** Follows the room: what there was an absence for, once it is over. */
export function follow(before: Presence, online: boolean, phase: words.Phase, now: number): { presence: Presence; over: Occasion | null } {
  const lost = online ? null : (before.lost ?? now)
  const paused = phase === 'paused' || phase === 'consultation' ? (before.paused ?? now) : null
  let over: Occasion | null = null
  if (lost === null && before.lost !== null && now - before.lost >= lineGone) over = 'returned'
  else if (phase === 'on-record' && before.paused !== null && now - before.paused >= longBreak) over = 'break'
  return { presence: { lost, paused }, over }
}

export const needOf = (text: string): Need => needs.find((n) => n === text) ?? 'picture-unreadable'

const at = (hearing: words.HearingID, participant: words.ParticipantID) => `/api/hearings/${encodeURIComponent(hearing)}/faces/${encodeURIComponent(participant)}`

export const faces = {
  wanted: (hearing: words.HearingID, participant: words.ParticipantID) => send<Wanted>('GET', `${at(hearing, participant)}/wanted`),
  picture: async (hearing: words.HearingID, participant: words.ParticipantID, occasion: Occasion, picture: Blob, last: boolean) =>
    (await send<{ needs: string }>('POST', at(hearing, participant), { occasion, format: 'image/jpeg', image: base64(new Uint8Array(await picture.arrayBuffer())), last })).needs,
  none: (hearing: words.HearingID, participant: words.ParticipantID, occasion: Occasion, reason: 'camera-gone' | 'declined') =>
    send<{ needs: string }>('POST', at(hearing, participant), { occasion, reason, last: true }),
}

function base64(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(text)
}

/** One picture of a camera, as a JPEG of 640 pixels; null where none comes. */
export async function takePicture(track: MediaStreamTrack | undefined): Promise<Blob | null> {
  if (track === undefined || track.readyState !== 'live') return null
  const video = document.createElement('video')
  video.muted = true
  video.srcObject = new MediaStream([track])
  try {
    await video.play()
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no picture comes')), 5_000)
      video.requestVideoFrameCallback(() => {
        clearTimeout(late)
        resolve()
      })
    })
    const canvas = new OffscreenCanvas(640, Math.round((640 * video.videoHeight) / video.videoWidth))
    canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height)
    return await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.88 })
  } catch {
    return null
  } finally {
    video.srcObject = null
  }
}
