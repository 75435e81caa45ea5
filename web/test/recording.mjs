// The recording that the pages' journey plays: written by a test of the server
// (internal/app, TestThePlayersRecording), so that the player meets what a
// playback process really gives out.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

let folder = ''

let written = null

/** Has the recording written, once; the server answers other walks meanwhile. */
export function writeRecording() {
  written ??= write()
  return written
}

async function write() {
  if (process.env.RECORDING) {
    folder = process.env.RECORDING // it was written there before
    return
  }
  folder = mkdtempSync(join(tmpdir(), 'kuule-player-'))
  await promisify(execFile)('go', ['test', '-count=1', '-run', 'TestThePlayersRecording', './internal/app'], { cwd: new URL('../..', import.meta.url).pathname, env: { ...process.env, KUULE_PLAYER: folder } })
}

const now = () => Math.floor(Date.now() / 1000)
const id = (n) => `view-${String(n).padStart(32, '0')}`

/** One viewing as internal/app/viewing.go answers. */
const viewing = (n, more) => ({ viewing: id(n), state: 'allowed', own: true, mine: true, decide: false, open: false, purpose: '', asker: 'Aino Virtanen', role: 'interviewer', approver: '', reason: '', created: now() - 3600, decided: 0, expires: now() + 3600, spans: [], media: [], exports: [], ...more })

/** The routes of viewings, for one scene; what is waiting and who listened is remembered in it. */
export const viewingRoutes = (hearing) => [
  ['POST', /^\/gw\/consent$/, (s, body) => ((s.consents ??= []).push(body), { consent: 'e30.e30.c2ln' })],
  ['POST', /^\/gw\/signin\/end$/, (s) => ((s.signedOut = true), {})],
  ['GET', /^\/api\/viewings$/, (s) => ({ viewings: s.name.includes('listener') || s.name.includes('asks') ? (s.viewings ?? []) : s.name.includes('asked') ? (s.viewings ??= [viewing(7, { hearing, state: 'asked', own: false, mine: false, decide: true, asker: 'Veera Colleague', purpose: 'Laadun seuranta: tulkkauksen pistokoe' }), viewing(8, { hearing, own: false, purpose: 'Valituksen vastine', reason: 'Sovittu esihenkilön kanssa' })]) : [] })],
  ['GET', /^\/api\/hearings\/[^/]+\/viewings$/, (s) => ({ viewings: s.log ?? [] })],
  ['POST', /^\/api\/hearings\/[^/]+\/viewings$/, (s, body) => {
    if (s.name.includes('asks')) {
      s.viewings = [(s.viewing = viewing(4, { hearing, purpose: body.purpose, state: 'asked', own: false, role: 'counsel', asker: 'Erik Lindqvist' }))]
      return s.viewing
    }
    if (!s.name.includes('listener')) return (s.viewing = viewing(1, { hearing, purpose: body.purpose }))
    s.viewing = viewing(3, { hearing, purpose: body.purpose, state: 'asked', own: false, role: 'applicant', asker: 'Samir Haddad', participant: 'par_01930000-0000-7000-8000-000000000003', ...(body.seated ? { station: true } : {}) })
    s.viewings = [s.viewing]
    return s.viewing
  }],
  ['POST', /^\/api\/viewings\/[^/]+\/decision$/, (s, body) => {
    s.viewings = s.viewings.map((v) => (v.decide ? { ...v, decide: false, state: body.allow ? 'allowed' : 'declined', reason: body.reason } : v))
    return s.viewings[0]
  }],
  ['POST', /^\/api\/viewings\/[^/]+\/open$/, () => ({ opening: 'x', until: now() + 3600, idle: 120 })],
  ['GET', /^\/api\/viewings\/[^/]+\/outline$/, (s) => (isLong(s) ? longOutline(s, 4) : outlineOf(s))],
  ['POST', /^\/api\/viewings\/[^/]+\/heard$/, (s, body) => ((s.heard ??= []).push(...body.spans.slice(Math.max(0, (s.heard ?? []).length - body.after))), {})],
  ['GET', /^\/api\/viewings\/[^/]+\/export$/, (s) => s.copy],
  ['POST', /^\/api\/viewings\/[^/]+\/release$/, (s, body) => ((s.released = body), { until: now() + 900 })],
  ['POST', /^\/api\/viewings\/[^/]+\/handed$/, (s, body) => ((s.handed = body), { viewing: id(1), on: body.on })],
  ['POST', /^\/api\/viewings\/[^/]+\/close$/, (s, body) => {
    s.farewell = body
    ;(s.heard ??= []).push(...body.spans)
    s.log = [{ ...s.viewing, spans: (s.heard ?? []).map((h) => ({ kind: 'heard', ...h, first: now(), last: now() })), media: [{ medium: 'ab', form: 'sealed', made: now(), intended: '', receiver: 'Erik Lindqvist', handed: '2026-11-22' }], exports: (s.copies ?? []).map((c) => ({ form: c.form, place: 'page', sealed: c.form === 'sealed', begun: now(), ended: now(), bytes: c.bytes, sha256: c.sha256 })) }]
    return {}
  }],
]

const isLong = (s) => s.name.includes('long')

/** Bytes of one segment, where the request asks for some. */
export function segment(url, s) {
  if (!/^\/api\/viewings\/[^/]+\/media$/.test(url.pathname)) return null
  const q = url.searchParams
  const from = Number(q.get('from'))
  const file = (at) => readFileSync(join(folder, isLong(s) ? 'long' : '', `${q.get('lane')}-${at}-${q.get('begin') === '1'}.webm`))
  const o = outlineOf(s)
  if (!isLong(s) || from < o.from + 20e6) return file(from)
  // Of a long recording: its second ten seconds over and over, each at its time.
  const part = 10e6 + ((from - o.from) % 10e6)
  return later(file(o.from + part), (from - o.from - part) / 1000)
}

const known = {}
const outlineOf = (s) => (known[isLong(s)] ??= JSON.parse(readFileSync(join(folder, isLong(s) ? 'long' : '', 'outline.json'), 'utf8')))

/** The outline of a recording of so many hours, with everybody in it all the time. */
const longOutline = (s, hours) => {
  const o = outlineOf(s)
  const to = o.from + hours * 3600e6
  const step = 1e6 // as the server tells of so long a one
  return { ...o, to, surveyed: to, step, lanes: o.lanes.map((l) => ({ ...l, holes: [], level: Buffer.from(Uint8Array.from({ length: Math.ceil((to - o.from) / step) }, (_, i) => 20 + ((i * 7) % 60))).toString('base64') })) }
}

/** Moves every cluster of a WebM by milliseconds. */
function later(webm, by) {
  const out = []
  const size = (at) => {
    let length = 1
    while ((webm[at] & (0x80 >> (length - 1))) === 0) length++
    let value = webm[at] & (0xff >> length)
    for (let i = 1; i < length; i++) value = value * 256 + webm[at + i]
    return { length, value }
  }
  let at = 0
  for (let next = webm.indexOf('1f43b675', at, 'hex'); next >= 0; next = webm.indexOf('1f43b675', at, 'hex')) {
    out.push(webm.subarray(at, next))
    const body = size(next + 4)
    const from = next + 4 + body.length
    const time = size(from + 1) // the cluster begins with its time
    let was = 0
    for (let i = 0; i < time.value; i++) was = was * 256 + webm[from + 1 + time.length + i]
    const head = Buffer.alloc(6)
    head[0] = 0xe7
    head[1] = 0x84
    head.writeUInt32BE(was + by, 2)
    const rest = webm.subarray(from + 1 + time.length + time.value, from + body.value)
    const cluster = Buffer.alloc(12)
    cluster.writeUInt32BE(0x1f43b675)
    cluster[4] = 0x01
    cluster.writeUIntBE(head.length + rest.length, 6, 6)
    out.push(cluster, head, rest)
    at = from + body.value
  }
  return Buffer.concat([...out, webm.subarray(at)])
}

/** Answers a copy piece by piece, as internal/app/viewingexport.go does; a mixed one takes its time, so that it can be stopped. */
export async function copy(request, response, path, s, body) {
  if (request.method !== 'POST' || !/^\/api\/viewings\/[^/]+\/export$/.test(path)) return false
  const content = Buffer.from(`${body.form} of a recording`.repeat(40_000))
  const name = { lane: 'hearing.webm', folder: 'recording.tar', mixed: 'everybody.webm', sealed: 'recording.tar.age' }[body.form]
  s.asked.push(['copy', body])
  s.copy = { form: body.form, bytes: 0, done: 0, over: false, sha256: '', medium: '', problem: null }
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Disposition': `attachment; filename="${name}"`, 'Cache-Control': 'no-store' })
  const pieces = 8
  for (let i = 0; i < pieces && !response.destroyed; i++) {
    const part = content.subarray((i * content.length) / pieces, ((i + 1) * content.length) / pieces)
    response.write(part)
    s.copy = { ...s.copy, bytes: s.copy.bytes + part.length, done: Math.floor((1000 * (i + 1)) / (pieces + 1)) }
    if (body.form === 'mixed') await new Promise((resolve) => setTimeout(resolve, 1500))
  }
  if (response.destroyed) return true
  const sha256 = createHash('sha256').update(content).digest('hex')
  s.copy = { ...s.copy, done: 1000, over: true, sha256, medium: body.form === 'sealed' ? sha256 : '' }
  ;(s.copies ??= []).push(s.copy)
  response.end()
  return true
}
