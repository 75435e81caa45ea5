import { problemOf, Problem } from './problem'
import { protocol } from './wire'

/**
 * The page's session at the agent on this device. The bearer lives in this
 * module and nowhere else: a reload loses it, and a start link gives a new one.
 */
let bearer = ''

const json = { 'Content-Type': 'application/json' }

/** What the address bar brought: a start code, and perhaps how sign-in ended. */
export interface Start {
  code: string
  problem: string
}

/** Reads the start code out of the address and takes it from there at once. */
export function takeStart(): Start {
  const fragment = location.hash.slice(1)
  if (fragment !== '') history.replaceState(null, '', location.pathname)
  return readStart(fragment)
}

export function readStart(fragment: string): Start {
  if (!fragment.includes('=')) return { code: fragment, problem: '' }
  const values = new URLSearchParams(fragment)
  return { code: values.get('start') ?? '', problem: values.get('problem') ?? '' }
}

/** Turns a start code into this page's session. */
export async function open(code: string): Promise<void> {
  const answer = await send<{ bearer: string }>('POST', '/gw/session', { code })
  bearer = answer.bearer
}

/** Asks the device to open a start link by itself, where it is set up to. */
export async function resume(): Promise<boolean> {
  const answer = await send<{ opened: boolean }>('POST', '/gw/session/resume')
  return answer.opened
}

/**
 * Calls the agent (/gw/) or, through it, the server (/api/). Throws Problem,
 * also when the network fails.
 */
export async function send<T>(method: 'GET' | 'POST' | 'PUT', path: string, body?: unknown): Promise<T> {
  const response = await request(method, path, body)
  if (response.status === 204) return undefined as T
  return (await response.json()) as T
}

/** Calls as send does, for what is no JSON; null where there is nothing. */
export async function blob(path: string, body: unknown): Promise<Blob | null> {
  const response = await request('POST', path, body)
  return response.status === 204 ? null : response.blob()
}

/** Sends while the page goes away: nobody waits for an answer. */
export function farewell(path: string, body: unknown) {
  void fetch(path, { method: 'POST', headers: { Authorization: `Bearer ${bearer}`, ...json }, body: JSON.stringify(body), credentials: 'omit', redirect: 'error', keepalive: true }).catch(() => undefined)
}

async function request(method: string, path: string, body?: unknown, signal: AbortSignal | null = null): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers: { ...(bearer === '' ? {} : { Authorization: `Bearer ${bearer}` }), ...(body === undefined ? {} : json) },
      body: body === undefined ? null : JSON.stringify(body),
      credentials: 'omit',
      redirect: 'error',
      signal,
    })
  } catch (thrown) {
    if (signal?.aborted === true) throw thrown
    throw new Problem(problemOf('unavailable'))
  }
  if (!response.ok) throw await Problem.from(response)
  return response
}

/** Opens a WebSocket through the agent; the bearer travels as a subprotocol that the agent strips. */
export function socket(path: string, speaks: string = protocol): WebSocket {
  const address = new URL(path, location.href)
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
  return new WebSocket(address, [speaks, `bearer.${bearer}`])
}

/** Reads bytes, as send reads JSON. */
export async function bytes(path: string, signal: AbortSignal): Promise<ArrayBuffer> {
  const response = await request('GET', path, undefined, signal)
  return response.arrayBuffer()
}

/** Downloads a file as it is made; onBytes is told how much has come. A file that breaks off throws. */
export async function download(path: string, body: unknown, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<{ name: string; content: Blob }> {
  const response = await request('POST', path, body, signal)
  const name = /filename="([^"/\\]+)"/.exec(response.headers.get('Content-Disposition') ?? '')?.[1] ?? 'file'
  const type = response.headers.get('Content-Type') ?? 'application/octet-stream'
  const parts: Blob[] = [] // the browser moves large ones to its own disk
  let waiting: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  let all = 0
  const reader = response.body?.getReader()
  for (;;) {
    let next
    try {
      next = await reader?.read()
    } catch (thrown) {
      if (signal.aborted) throw thrown
      throw new Problem(problemOf('unavailable'))
    }
    if (next === undefined || next.done) break
    waiting.push(next.value)
    size += next.value.length
    all += next.value.length
    if (size >= partSize) {
      parts.push(new Blob(waiting))
      waiting = []
      size = 0
    }
    onBytes(all)
  }
  return { name, content: new Blob([...parts, ...waiting], { type }) }
}

const partSize = 16 << 20
