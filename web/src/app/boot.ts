import { api, gateway, type Device, type SignIn } from '../api/http'
import type { Me } from '../api/model'
import { Problem } from '../api/problem'
import { open, type Start } from '../api/session'
import type { Document } from '../api/words'

/** What the page stands on after it began. */
export type Boot =
  | { state: 'unsupported' }
  | { state: 'no-session'; problem: Document | null }
  | { state: 'refused'; problem: Document }
  | { state: 'ready'; device: Device; signIn: SignIn; me: Me; problem: string }

const nobody: Me = { person: null, hearings: [], tickets: [], records: [], reviews: [], places: [] }

/** Takes the start code for a session and asks who and what is here. */
export async function boot(start: Start): Promise<Boot> {
  if (!('RTCRtpScriptTransform' in globalThis)) return { state: 'unsupported' }
  if (start.code === '') return { state: 'no-session', problem: null }
  try {
    await open(start.code)
  } catch (thrown) {
    return { state: 'no-session', problem: Problem.of(thrown).document }
  }
  try {
    const [device, signIn] = await Promise.all([gateway.device(), gateway.signIn()])
    return { state: 'ready', device, signIn, me: await whoAmI(), problem: start.problem }
  } catch (thrown) {
    return { state: 'refused', problem: Problem.of(thrown).document }
  }
}

/** Before sign-in the server may say that it knows nobody here; that is no failure. */
export async function whoAmI(): Promise<Me> {
  try {
    return await api.me()
  } catch (thrown) {
    if (Problem.of(thrown).document.code === 'sign-in') return nobody
    throw thrown
  }
}

export type Persona = 'kiosk' | 'screen' | 'officer' | 'applicant' | 'interviewer' | 'counsel' | 'none' | 'nobody'

/** Which pages to show: a room terminal is the applicant's, whoever else signed in there. */
export function personaOf(device: Device, me: Me): Persona {
  if (device.kind === 'kiosk') return 'kiosk'
  if (device.kind === 'waiting-screen') return 'screen'
  if (device.kind.includes('terminal')) return 'applicant'
  if (me.person === null) return 'nobody'
  const { roles } = me.person
  if (roles.includes('interviewer')) return 'interviewer'
  if (roles.includes('officer')) return 'officer'
  if (roles.some((r) => r === 'counsel' || r === 'interpreter' || r === 'representative')) return 'counsel'
  return 'none'
}
