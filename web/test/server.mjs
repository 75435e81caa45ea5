// A stand-in for agent and server, for the tests of the pages: serves the
// journey build under the agent's own content security policy and answers /gw,
// /api and /ws/room with canned, but lively, facts. A start code names the scene.
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WebSocketServer } from 'ws'
import { deskRoutes } from './deskserver.mjs'
import { kioskCall, kioskVisit } from './kioskserver.mjs'
import { copy, segment, viewingRoutes } from './recording.mjs'

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.ogg': 'audio/ogg' }

/** The policy that the agent sends, read from its source so that the test cannot drift from it. */
export function policy() {
  const source = readFileSync(new URL('../../attestation/agent/gateway/pages.go', import.meta.url), 'utf8')
  const statement = /const policy = ((?:"[^"]*"[\s+]*)+)/.exec(source)
  if (statement === null) throw new Error('attestation/agent/gateway/pages.go has no const policy')
  return [...statement[1].matchAll(/"([^"]*)"/g)].map((m) => m[1]).join('')
}

const uuid = (n) => `0198f3a0-0000-7000-8000-${String(n).padStart(12, '0')}`
const hearing = `hrg_${uuid(1)}`
const record = `rcd_${uuid(1)}`
const ids = { interviewer: 2, applicant: 3, interpreter: 4, counsel: 5, recorder: 6 }
const seat = (role, name, place) => ({ seat: `set_${uuid(ids[role])}`, participant: `par_${uuid(ids[role])}`, role, name, salt: 'c2FsdA', place })
const seats = {
  interviewer: seat('interviewer', 'Aino Virtanen', 'Maahanmuuttovirasto, huone 412'),
  applicant: seat('applicant', 'Samir Haddad', 'Joutsenon vastaanottokeskus, kuulemistila 2'),
  interpreter: seat('interpreter', 'Layla Nasser', 'Joutsenon vastaanottokeskus, kuulemistila 2'),
  counsel: seat('counsel', 'Erik Lindqvist', 'Asianajotoimisto Lindqvist, neuvotteluhuone'),
}
const labels = { screen: 'Joutseno, odotustila', officer: 'Joutseno, palvelupiste', kiosk: 'Joutseno, kioski 1', interviewer: 'Virasto, työasema 412', applicant: 'Joutseno, kuulemistila 2', counsel: 'Lindqvist, työasema 1' }
const kinds = { screen: 'waiting-screen', officer: 'workstation', kiosk: 'kiosk', interviewer: 'workstation', applicant: 'room-terminal', counsel: 'workstation' }
const today = (hour, minute = 0) => {
  const d = new Date()
  d.setHours(hour, minute, 0, 0)
  return d.toISOString()
}

const lines = [
  ['question', 'Voitteko kertoa, milloin lähditte kotoanne?', 34],
  ['rendering', 'متى غادرت منزلك؟', 41],
  ['answer', 'Lähdin toukokuun kolmantena päivänä aamulla, ennen kuin aurinko nousi.', 52],
  ['question', 'Kuka oli mukananne?', 71],
  ['answer', 'Veljeni Karim ja hänen vaimonsa. Ajoimme ensin serkkuni luo.', 80],
  ['note', 'Hakija näyttää valokuvan puhelimestaan.', 101],
].map(([kind, text, at], i) => ({ utterance: `utt_${uuid(100 + i)}`, kind, text, at: at * 1e6, version: 1 }))

/** Everything that one scene remembers. */
function scene(name) {
  const [persona] = name.split(/[-_]/)
  return {
    name, persona, signedIn: persona !== 'applicant' && name !== 'interviewer-out', started: Date.now(), saves: [], puts: 0,
    record: /^interviewer-(after|listen)/.test(name) || persona !== 'interviewer' ? sealed() : null, ended: /^interviewer-(after|listen)/.test(name),
    redeemed: name !== 'applicant-ticket', asked: [],
  }
}

const unix = (hour, minute) => Date.parse(today(hour, minute)) / 1000
const nowUnix = () => Math.floor(Date.now() / 1000)
const participants = () => Object.values(seats).map(({ participant, role, name, place }) => ({ participant, role, name, place }))

/** A sealed version and what followed it, as transcript/api.go answers. */
function sealed() {
  const content = { v: 1, record, hearing, version: 1, diary: 'MIG-2026-10482', language: 'ar', participants: participants(), utterances: lines }
  const handed = (role) => ({ participant: seats[role].participant, language: 'ar', at: unix(9, 52), deadline: unix(9, 52) + 1209600, received: 0 })
  return {
    sealed: { record, hearing, version: 1, signed: 'e30.e30.c2ln', content: JSON.stringify(content), at: unix(9, 40) },
    after: { deliveries: [handed('applicant'), handed('counsel')], amendments: [] },
  }
}

/** GET /api/me, as interview/api.go answers. */
function me(s) {
  const role = s.persona
  if (role === 'kiosk' || role === 'screen') return { device: `dev_${uuid(1)}`, roles: [], seats: [], tickets: [], places: [] }
  if (role === 'officer') return { device: `dev_${uuid(1)}`, name: 'Olga Ranta', subject: 's2', roles: ['officer'], seats: [], tickets: [], places: [] }
  const review = s.name.includes('review')
  const here = role === 'applicant' ? [seats.applicant, seats.interpreter] : [seats[role]]
  const known = s.signedIn || (role === 'applicant' && s.redeemed)
  const phase = review || s.ended ? 'ended' : 'waiting'
  const seat = (at) => ({ hearing, seat: at.seat, participant: at.participant, role: at.role, mine: known, ...(known ? { name: at.name } : {}), place: at.place, language: 'ar', opens: today(9), closes: today(18), phase })
  return {
    device: `dev_${uuid(1)}`,
    ...(s.signedIn && role !== 'applicant' ? { name: seats[role].name, subject: 's1', roles: [role] } : { roles: [] }),
    seats: s.name === 'applicant-nothing' ? [] : here.map(seat),
    tickets: s.redeemed && !review && !s.name.includes('face') ? [] : [{ ticket: `tkt_${uuid(1)}`, hearing, seat: seats.applicant.seat, role: 'applicant', purpose: review ? 'review' : 'hearing', expires: today(18), redeemed: s.redeemed || review }],
    places: role === 'interviewer' ? [
      { device: `dev_${uuid(1)}`, label: labels.interviewer, premises: `pre_${uuid(1)}`, place: 'huone 412', own: true },
      { device: `dev_${uuid(2)}`, label: labels.applicant, premises: `pre_${uuid(2)}`, place: 'Joutsenon vastaanottokeskus', own: false },
    ] : [],
  }
}

/** GET /api/hearings: the interviewer's own. */
function hearings(s) {
  const at = (id, diary, language, opens, people) => ({
    hearing: id, case: `cas_${uuid(9)}`, diary, language, mode: 'remote', opens, closes: today(18), state: { phase: s.ended && id === hearing ? 'ended' : 'waiting' },
    participants: people.map(({ participant, role, name }) => ({ participant, role, name })),
    seats: people.map((p) => ({ seat: p.seat, participant: p.participant, device: `dev_${uuid(p.role === 'interviewer' ? 1 : 2)}`, place: p.place })),
  })
  const second = { ...seat('applicant', 'Hodan Warsame', 'Oulun vastaanottokeskus, huone B'), participant: `par_${uuid(30)}` }
  return { hearings: [at(hearing, 'MIG-2026-10482', 'ar', today(9), Object.values(seats)), at(`hrg_${uuid(8)}`, 'MIG-2026-10517', 'so', today(13, 30), [seats.interviewer, second])] }
}

const problem = (status, code, way, rule) => ({ status, type: `urn:kuule:problem:${code}`, title: code, code, way, ...(rule ? { rule } : {}) })

/** What the kiosk's camera saw: nobody who lives. */
const drawn = '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="400"><rect width="320" height="400" fill="#cfd8e3"/><ellipse cx="160" cy="180" rx="90" ry="120" fill="#c9976b"/><circle cx="125" cy="160" r="10"/><circle cx="195" cy="160" r="10"/><path d="M120 240 q40 30 80 0" stroke="#000" stroke-width="6" fill="none"/></svg>'

/** Faces at the room terminal, as kiosk-bridge/roomfaceapi.go answers. A scene's `looks` are what its pictures need, in order. */
function faceRoutes() {
  const of = /^\/api\/hearings\/[^/]+\/faces\/[^/]+/.source
  const told = (s) => ((s.faces ??= { asked: false, compared: [], sent: [], looks: s.name.endsWith('waiting') ? ['several-faces'] : [] }), s.faces)
  const compared = (s, occasion, word, reason) => {
    told(s).compared.unshift({
      n: told(s).compared.length + 1, occasion, at: new Date().toISOString(), word, reason, said: '', unmeasured: word !== 'not-compared' || reason === 'several-faces',
      engine: reason === 'camera-gone' || reason === 'declined' ? '' : 'kuule-face 1 faceplugin 0.0.1 onnxruntime 1.30.0', threshold: word === 'not-compared' ? '' : 'reference-unmeasured-1',
    })
  }
  return [
    ['GET', new RegExp(`${of}/wanted$`), (s) => ({ possible: s.name.includes('face'), first: told(s).compared.length === 0, asked: told(s).asked })],
    ['GET', new RegExp(`${of}$`), (s) => {
      if (s.persona === 'interviewer' && told(s).compared.length === 0) compared(s, 'entered', 'same', 'reference-near')
      return { missing: '', asked: told(s).asked, compared: told(s).compared }
    }],
    ['POST', new RegExp(`${of}/asked$`), (s) => {
      told(s).asked = true
      // The terminal's picture comes a little later.
      setTimeout(() => {
        told(s).asked = false
        compared(s, 'asked', ...(s.faces.next ?? ['other', 'reference-far']))
      }, 1500)
      return {}
    }],
    ['POST', new RegExp(`${of}/said$`), (s, body) => ((told(s).compared[0].said = body.said), {})],
    ['POST', new RegExp(`${of}$`), (s, body) => {
      const needs = body.reason === undefined ? (told(s).looks.shift() ?? '') : ''
      told(s).sent.push(body)
      if (needs === '' || body.last) told(s).asked = false
      if (body.reason !== undefined) compared(s, body.occasion, 'not-compared', body.reason)
      else if (needs === '') compared(s, body.occasion, 'same', 'reference-near')
      return { needs }
    }],
  ]
}

/** The HTTP interface as docs/protocol.md and src/api/http.ts have it. */
const routes = [
  ['GET', /^\/gw\/device$/, (s) => ({
    device: `dev_${uuid(1)}`, label: labels[s.persona], kind: kinds[s.persona], agreement: `agr_${uuid(1)}`, premises: `pre_${uuid(1)}`,
    trust: { v: 1, name: 'test', demonstration: true, server_roots: [], device_roots: [], recorder_roots: [], statement_key: '', sealing_key: '', office_key: '', bundle_key: '', log_key: '' },
  })],
  ['GET', /^\/gw\/signin$/, (s) => ({ available: true, signed_in: s.signedIn })],
  ['POST', /^\/gw\/statement$/, (s, body) => ((s.statement = body), { statement: JSON.stringify({ member: body.member, kind: 'page', seats: body.seats.length }) })],
  ['POST', /^\/api\/paths$/, () => ({ servers: [], username: '', credential: '', expires: nowUnix() + 600 })],
  ['GET', /^\/api\/me$/, (s) => me(s)],
  ['POST', /^\/api\/tickets\/[^/]+\/redeem$/, (s) => ((s.redeemed = true), {})],
  ['POST', /^\/api\/cases$/, (_, body) => ({ case: `cas_${uuid(9)}`, ...body })],
  ['POST', /^\/api\/hearings$/, () => ({ hearing: `hrg_${uuid(7)}` })],
  ['GET', /^\/api\/hearings$/, (s) => hearings(s)],
  ['GET', /^\/api\/hearings\/[^/]+\/transcript$/, (s) => ({ hearing, state: s.record ? 'sealed' : 'draft', span: 0, utterances: s.ended ? lines : [], records: s.record ? [s.record.sealed] : [], after: s.record?.after ?? { deliveries: [], amendments: [] } })],
  ['PUT', /^\/api\/hearings\/[^/]+\/utterances\/[^/]+$/, (s, body) => (s.saves.push(body), { ...body, version: body.version + 1 })],
  ['POST', /^\/api\/hearings\/[^/]+\/records$/, (s) => {
    const made = sealed()
    if (s.record) s.record = { ...s.record, sealed: { ...s.record.sealed, version: 2 } }
    else s.record = { ...made, after: { deliveries: [], amendments: [] } }
    return s.record.sealed
  }],
  ['GET', /^\/api\/hearings\/[^/]+\/records$/, (s) => ({ records: [{ record, version: 1, at: s.record.sealed.at, delivery: s.record.after.deliveries[0] }] })],
  ['GET', /^\/api\/records\/[^/]+$/, (s) => s.record],
  ['POST', /^\/api\/records\/[^/]+\/deliver$/, (s) => ((s.record.after.deliveries = sealed().after.deliveries), { deliveries: s.record.after.deliveries })],
  ['POST', /^\/api\/records\/[^/]+\/receipt$/, (s) => (s.record.after.deliveries.forEach((d) => (d.received = nowUnix())), s.record.after.deliveries[0])],
  ['POST', /^\/api\/records\/[^/]+\/amendments$/, (s, body) => {
    const made = { amendment: `amd_${uuid(1)}`, number: s.record.after.amendments.length + 1, by: seats[s.persona].participant, at: nowUnix(), reply: null, ...body }
    s.record.after.amendments.push(made)
    return made
  }],
  ['POST', /^\/api\/records\/[^/]+\/outcome$/, (s, body) => (s.record.after.ending = { reasons: '', ...body, at: nowUnix() })],
  ['GET', /^\/api\/hearings\/[^/]+\/portraits\/[^/]+$/, () => ({ format: 'image/svg+xml', image: Buffer.from(drawn).toString('base64') })],
  ...faceRoutes(),
  ...viewingRoutes(hearing),
  ...deskRoutes(uuid, problem),
  ['GET', /^\/api\/hearings\/[^/]+\/keeping$/, () => ({
    case: `cas_${uuid(9)}`, extensions: [{ extension: 'x', until: '2060-01-01', asked_at: 1, approved_at: 2 }], mark: {}, marked: 'SALASSA PIDETTÄVÄ, JulkL 24.1 § 24, 31c k', tombstones: ['e30.e30.c2ln'], write_once: false,
    holds: [{ hold: 'h', ground: 'appeal', placed_at: Date.parse('2026-11-20T08:00:00Z') }], notes: { special: 1, observation: 2, until: '2027-05-20T00:00:00Z' }, files: { deleted: 0, left: 0, until: 0, at: 0 },
    classes: [
      { class: 'recording', state: 'running', until: '2051-11-22T00:00:00Z', source: '615/2020 § 8', version: 1 },
      { class: 'transcript', state: 'pending', source: '615/2020 § 8', version: 1 },
      { class: 'kiosk-evidence', state: 'erased', erased: '2026-11-20T00:00:00Z', source: '615/2020 § 8', version: 1 },
    ],
  })],
  ['GET', /^\/api\/hearings\/[^/]+\/quality$/, () => ({
    legs: [], lasted: 7_200_000, lost: 180_000, causes: { narrow: 120_000, disconnected: 60_000 },
    people: [
      { roles: ['interviewer'], names: ['Aino Virtanen'], lasted: 3_600_000, lost: 0, poor: 0, causes: {} },
      { roles: ['applicant', 'interpreter'], names: ['Samir Haddad', 'Layla Nasser'], lasted: 3_600_000, lost: 185_000, poor: 0, causes: { narrow: 120_000, disconnected: 65_000 } },
      { roles: ['counsel'], names: ['Erik Lindqvist'], lasted: 3_600_000, lost: 400, poor: 0, causes: { loss: 400 } },
    ],
  })],
  ['POST', /^\/api\/amendments\/[^/]+\/answer$/, (s, body) => (s.record.after.amendments.forEach((a) => (a.reply = { ...body, at: nowUnix() })), body)],
]

/** Starts the server; `scenes` gives the test what each scene remembers, by its start code. */
export async function serve(port, folder = './dist/') {
  const root = fileURLToPath(new URL(folder, import.meta.url))
  const csp = policy()
  const scenes = new Map()
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://x').pathname
    const send = (status, body) => {
      response.writeHead(status, { 'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json', 'Cache-Control': 'no-store' })
      response.end(JSON.stringify(body))
    }
    if (!path.startsWith('/gw/') && !path.startsWith('/api/') && !path.startsWith('/kiosk/')) {
      const file = path === '/' ? 'index.html' : normalize(path).replace(/^\/+/, '')
      try {
        const content = await readFile(join(root, file))
        response.writeHead(200, {
          'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': csp, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer',
          'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin', 'Cache-Control': 'no-store',
        })
        response.end(content)
      } catch {
        response.writeHead(404)
        response.end()
      }
      return
    }
    let text = ''
    for await (const part of request) text += part
    const body = text === '' ? {} : JSON.parse(text)
    if (path === '/gw/session') {
      if (body.code === 'used') return send(403, problem(403, 'start-code', 'reload'))
      scenes.set(body.code, scene(body.code))
      return send(200, { bearer: body.code, resumed: false })
    }
    if (path === '/gw/session/resume') return send(200, { opened: false })
    const s = scenes.get((request.headers.authorization ?? '').replace('Bearer ', ''))
    if (s === undefined) return send(401, problem(401, 'bearer', 'reload'))
    if (kioskCall(s, path, body, response, send)) return
    const media = segment(new URL(request.url, 'http://x'), s)
    if (media !== null) {
      if (s.gone) return send(403, problem(403, 'forbidden', 'retry')) // as once its time is over
      if (s.name.includes('long')) await new Promise((resolve) => setTimeout(resolve, 10)) // what a playback process takes at p95
      response.writeHead(200, { 'Content-Type': 'video/webm', 'Cache-Control': 'no-store' })
      return response.end(media)
    }
    if (await copy(request, response, path, s, body)) return
    if (s.cut && request.method === 'PUT') return request.socket.destroy()
    const route = routes.find(([method, pattern]) => method === request.method && pattern.test(path))
    if (route === undefined) return send(404, problem(404, 'no-route', 'correct-input'))
    const answer = route[2](s, body, path)
    return send(answer?.status >= 400 ? answer.status : 200, answer)
  })

  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] })
  server.on('upgrade', (request, socket, rest) => {
    if (!['/ws/room', '/kiosk/visit'].includes(request.url)) return socket.destroy()
    sockets.handleUpgrade(request, socket, rest, (ws) => sockets.emit('connection', ws, request))
  })
  sockets.on('connection', (ws, request) => {
    const bearer = /bearer\.([\w-]+)/.exec(request.headers['sec-websocket-protocol'] ?? '')?.[1]
    const s = scenes.get(bearer)
    if (s === undefined) return ws.close()
    if (request.url === '/kiosk/visit') return kioskVisit(ws, s)
    room(ws, s)
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { scenes, port: server.address().port, close: () => (sockets.close(), server.closeAllConnections(), server.close()) }
}

/** One page's room: everybody else is played by this function. */
function room(ws, s) {
  const now = () => (Date.now() - s.started) * 1000 + 95e6
  const tell = (type, body, re) => ws.readyState === ws.OPEN && ws.send(JSON.stringify({ type, body, ...(re ? { re } : {}) }))
  const other = (role, more = []) => ({ member: `mem_${uuid(ids[role])}`, kind: role === 'recorder' ? 'recorder' : 'page', statement: JSON.stringify({ member: `mem_${uuid(ids[role])}`, kind: role === 'recorder' ? 'recorder' : 'page', seats: role === 'recorder' ? 0 : 1 + more.length }), admission: 'a', seats: role === 'recorder' ? null : [seats[role], ...more], connected: true })
  const terminal = other('applicant', [seats.interpreter])
  const chair = s.persona === 'interviewer'
  let self
  let present = []
  let phase = { phase: chair ? 'waiting' : 'on-record', cause: chair ? 'opened' : 'interviewer', since: 0, by: '', reason: '' }
  let beating = !chair
  let seq = 0

  const showMembers = () => {
    tell('members', { members: present })
    const others = present.filter((m) => m.kind === 'page' && m !== self)
    const track = (source, number, from) => (m, i) => ({ mid: String(from + i), member: m.member, track: `trk_${uuid(from + i)}`, source, number })
    // The interpreter beside the applicant has a microphone of its own.
    const interpreted = others.filter((m) => m.seats.some((x) => x.role === 'interpreter') && m.seats.length > 1)
    tell('slots', {
      slots: [
        ...others.map(track('video', 1, 8)), ...others.map(track('audio', 0, 20)),
        ...interpreted.map((m, i) => ({ ...track('audio', 3, 28)(m, i), seat: seats.interpreter.seat })),
        ...(s.shows ? others.slice(0, 1).map(track('screen', 2, 16)) : []),
      ],
    })
  }
  const beat = setInterval(() => {
    if (!beating || s.silent) return
    tell('heartbeat', { heartbeat: JSON.stringify({ v: 1, hearing, member: `mem_${uuid(ids.recorder)}`, state: 'recording', seq: ++seq, durable: now() - 4e5, now: now(), tracks: null, head: '' }) })
  }, 500)
  ws.on('close', () => clearInterval(beat))
  s.drop = () => ws.terminate()
  s.show = (on) => {
    s.shows = on
    showMembers()
  }

  ws.on('message', (data) => {
    const { type, id, body } = JSON.parse(String(data))
    s.asked.push([type, body])
    switch (type) {
      case 'join': {
        if (s.name.endsWith('refused')) return tell('refused', problem(403, 'premises', 'agency', 'admission.counsel.premises'), id)
        const own = s.persona === 'applicant' ? [seats.applicant, seats.interpreter] : [seats[s.persona]]
        self = { member: JSON.parse(body.statement).member, kind: 'page', statement: body.statement, admission: 'a', seats: own, connected: true }
        tell('welcome', { member: self.member, seats: own, phase, clock: { now: now(), wall: 0, sent: 0 }, group: `grp_${uuid(1)}`, chair, hearing: { hearing, case: `cas_${uuid(9)}`, diary: 'MIG-2026-10482', language: 'ar', mode: 'remote' } }, id)
        if (s.name.endsWith('waiting')) return
        present = chair ? [self, other('recorder')] : [other('interviewer'), s.persona === 'applicant' ? self : terminal, s.persona === 'counsel' ? self : other('counsel'), other('recorder')]
        setTimeout(() => {
          tell('admitted', { admission: 'a' })
          showMembers()
          if (!chair) tell('roster', { roster: JSON.stringify({ epoch: 4, chair: `mem_${uuid(2)}`, members: present.map((m) => m.member), sas: '482915' }) })
          if (chair) {
            setTimeout(() => tell('knock', {
              member: terminal.member, device: `dev_${uuid(2)}`, label: labels.applicant, seats: terminal.seats, rule: 'admission.applicant.ticket', since: now() - 42e6,
              checks: [
                { name: 'identity', verdict: 'verified', reason: 'join-ticket' }, { name: 'posture', verdict: 'verified', reason: 'quote' }, { name: 'premises', verdict: 'asserted', reason: 'register' },
                { name: 'posture', verdict: 'verified', reason: 'quote' }, { name: 'passive-auth-signature', verdict: 'verified', reason: 'ok' }, { name: 'face', verdict: 'not done', reason: 'no-reader' },
              ],
            }), 200)
          }
        }, 150)
        return
      }
      case 'offer':
        return tell('answer', { sdp: 'v=0', leg: `leg_${uuid(1)}` }, id)
      case 'admit':
        present = [...present, terminal, other('counsel')]
        tell('ok', null, id)
        return showMembers()
      case 'roster':
        beating = JSON.parse(body.roster).members.includes(`mem_${uuid(ids.recorder)}`)
        return tell('ok', null, id)
      case 'phase':
        phase = { phase: body.to, cause: 'interviewer', since: now(), by: '', reason: body.reason }
        tell('ok', null, id)
        if (body.to === 'ended') s.ended = true
        if (body.to === 'on-record') setTimeout(() => tell('raised', { member: terminal.member, what: 'break', at: now() }), 400)
        return tell('phase-now', phase)
      case 'sync':
        return tell('clock', { now: now(), wall: 0, sent: body.sent }, id)
      default:
        return tell('ok', null, id)
    }
  })
}
