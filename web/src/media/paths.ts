import { send } from '../api/session'

/** The legs by which the relay is reached (docs/protocol.md). */
export type Relay = 'udp' | 'tcp' | 'tls'

/** All ways to the media server: its own port over UDP and TCP, and the relay's. */
export type Way = 'direct-udp' | 'direct-tcp' | Relay

/** POST /api/paths: the ways to the media server. */
export interface Paths {
  direct: string[] | null // host:port of the media port, one for each family
  servers: { leg: Relay; urls: string[] }[] | null
  username: string
  credential: string
  expires: number // Unix seconds
}

export const openPaths = () => send<Paths>('POST', '/api/paths')

export function serversOf(paths: Paths, leg?: Relay): RTCIceServer[] {
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
