import { send } from '../api/session'

/** The legs by which the relay is reached (docs/protocol.md). */
export type Leg = 'udp' | 'tcp' | 'tls'

/** POST /api/paths: the ways to the media server beside the direct one. */
export interface Paths {
  servers: { leg: Leg; urls: string[] }[] | null
  username: string
  credential: string
  expires: number // Unix seconds
}

export const openPaths = () => send<Paths>('POST', '/api/paths')

export function serversOf(paths: Paths, leg?: Leg): RTCIceServer[] {
  return (paths.servers ?? []).filter((s) => leg === undefined || s.leg === leg).map((s) => ({ urls: s.urls, username: paths.username, credential: paths.credential }))
}

/** A credential with less time left is not used for a new connection. */
const enoughSeconds = 300

let known: Paths | null = null

/**
 * The relays for a connection that is about to be made or restarted. None is no
 * error: the media server may be reached directly.
 */
export async function iceServers(): Promise<RTCIceServer[]> {
  if (known === null || known.expires - Date.now() / 1000 < enoughSeconds) known = await openPaths().catch(() => null)
  return known === null ? [] : serversOf(known)
}
