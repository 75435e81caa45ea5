// The officers' desk, as kiosk-bridge and internal/app answer it: calls, possible
// duplicates and certificates. `late` in a scene: another officer settles first.

import { paperPicture, signedHash, signedText } from './kioskserver.mjs'

const call = (n, language) => ({ call: `cal_${n}`, place: `Joutseno, kioski ${n}`, language, step: 'document', raised: new Date(Date.now() - n * 20_000).toISOString(), answered: false })

function duplicates(uuid) {
  const of = (n) => ({ visit: `vis_${uuid(n)}`, case: `cas_${uuid(n)}`, diary: `MIG-2026-1048${n}`, participant: `par_${uuid(n)}`, submitted: '2026-11-20T08:12:00Z' })
  return [
    {
      ...of(1), lost: '', threshold: 'fmr-1e-6', line: 380, algorithm: 'kuule-face-512', size: 48_211, asOf: '2026-11-20T02:00:00Z',
      candidates: [{ modality: 'face', reference: 'REG-0004711', score: 412 }, { modality: 'finger-7', reference: 'REG-00000000000000000000000009312', score: 391 }],
    },
    { ...of(2), lost: 'register-absent', threshold: '', line: 0, algorithm: '', size: 0, asOf: '0001-01-01T00:00:00Z', candidates: [] },
  ]
}

const drawnFace = '<svg xmlns="http://www.w3.org/2000/svg" width="350" height="450"><rect width="350" height="450" fill="#d8dde3"/><ellipse cx="175" cy="200" rx="90" ry="120" fill="#b98a66"/></svg>'
const loops = Array.from({ length: 60 }, (_, i) => ({ x: 400 + i * 40, y: Math.round(900 + Math.sin(i / 3) * 300), t: i * 16, p: 500 }))

/** What somebody gave for a residence card, opened. */
const givenPieces = [
  { n: 1, step: 'photo', kind: 'photo', format: 'image/svg+xml', sha256: 'a'.repeat(43), bytes: Buffer.from(drawnFace).toString('base64') },
  { n: 2, step: 'signature', kind: 'signed-text', format: 'text/plain', sha256: signedHash, bytes: Buffer.from(signedText).toString('base64') },
  { n: 3, step: 'signature', kind: 'signature', format: 'application/json', sha256: 'b'.repeat(43), bytes: Buffer.from(JSON.stringify({ v: 1, text_sha256: signedHash, strokes: [loops, loops.slice(0, 9).map((p) => ({ ...p, y: p.y + 500 }))] })).toString('base64') },
  { n: 4, step: 'scan', kind: 'page', format: 'image/png', sha256: 'c'.repeat(43), bytes: paperPicture },
]

const givenOutside = (uuid, s) => ({
  visit: `vis_${uuid(1)}`, hearing: `hrg_${uuid(1)}`, diary: 'MIG-2026-10482', place: 'Joutseno, kioski 1', ended: '2026-11-20T08:12:00Z', read: s.readings ?? 0,
  pieces: givenPieces.map(({ n, step, kind, sha256 }) => ({ n, step, kind, sha256 })),
})

/** A queue with three people in it. */
const line = (s) =>
  (s.line ??= {
    name: 'help', label: 'Palvelupiste', desks: ['Tiski 1', 'Tiski 2'], called: [],
    waiting: [['A12', 'desk', 'ar'], ['A13', 'other', 'so'], ['A14', 'card', 'fi']].map(([text, matter, language], i) => ({ id: `num_${text}`, text, matter, language, drawn: new Date(Date.now() - (9 - i) * 60_000).toISOString(), calls: 0, ...(i === 2 ? { for_desk: 'Tiski 2' } : {}) })),
    figures: { drawn: 14, done: 10, absent: 1, handed: 2, wait_p50: 420, wait_p95: 1380, took_p50: 260 },
  })

export const deskRoutes = (uuid, problem) => [
  ['GET', /^\/api\/desk$/, () => ({ calls: ['prs', 'so', 'kmr'].map((language, i) => call(i + 1, language)), answers: { staffed: true, calls: 0, p50: 0, p95: 0 }, queues: [{ queue: 'desk', label: 'Palvelupiste', staffed: true, calls: 4, p50: 31, p95: 88 }, { queue: 'night', label: 'Yö / Night', staffed: false, calls: 0, p50: 0, p95: 0 }], notices: [], identifications: [] })],
  ['GET', /^\/api\/desk\/visits$/, () => ({ target: 90_000, visits: 0, p50: 0, p95: 0, max: 0, over: 0, to_desk: 0, again: 0, retried: 0, duplicates: { searched: 0, found: 0, same: 0 }, steps: [], recent: [] })],
  ['GET', /^\/api\/queues$/, (s) => ({ languages: s.name.includes('-ar-') ? ['ar', 'fi'] : ['fi', 'en', 'ar'], called: (s.called ??= []), waiting: 3 })],
  ['GET', /^\/api\/desk\/given$/, (s) => ({ given: s.name.includes('-given-') ? [givenOutside(uuid, s)] : [] })],
  ['GET', /^\/api\/hearings\/[^/]+\/given$/, (s) => ({ given: s.name.includes('-given') ? [givenOutside(uuid, s)] : [] })],
  ['POST', /^\/gw\/reading$/, (s, body) => ((s.word = body), { signed: 'e30.e30.c2ln' })],
  ['POST', /^\/api\/visits\/[^/]+\/pieces$/, (s, body) => {
    s.purpose = body.purpose
    s.readings = (s.readings ?? 0) + 1
    return { pieces: givenPieces }
  }],
  ['GET', /^\/api\/desk\/queues$/, (s) => ({ queues: s.name.includes('-queue-') ? [line(s)] : [] })],
  ['POST', /^\/api\/desk\/queues\/[^/]+\/next$/, (s, body, path) => {
    ;(s.acts ??= []).push(['next', path.split('/').at(-2), body.desk])
    const number = line(s).waiting.shift()
    s.line.waiting = s.line.waiting.filter((n) => n !== number)
    s.line.called = [{ ...number, desk: body.desk, calls: 1 }]
    return { number }
  }],
  ['POST', /^\/api\/desk\/numbers\/[^/]+$/, (s, body, path) => {
    s.acts.push([body.act, path.split('/').at(-1), body])
    if (body.act === 'again') s.line.called = s.line.called.map((n) => ({ ...n, calls: n.calls + 1 }))
    else s.line.called = []
    return {}
  }],
  ['GET', /^\/api\/desk\/duplicates$/, (s) => ({ tasks: (s.tasks ??= duplicates(uuid)) })],
  ['POST', /^\/api\/desk\/duplicates\/[^/]+$/, (s, body, path) => {
    const visit = decodeURIComponent(path.split('/').at(-1))
    s.tasks = s.tasks.filter((t) => t.visit !== visit)
    if (s.late) return problem(409, 'conflict', 'retry')
    ;(s.settled ??= []).push([visit, body])
    return {}
  }],
  ['POST', /^\/api\/desk\/certificates$/, (_, body) =>
    body.code === 'genuine' ? { v: 1, visit: `vis_${uuid(1)}`, kiosk: `dev_${uuid(1)}`, diary: 'MIG-2026-10482', name: 'Samir Haddad', issued: Date.parse('2026-11-20T08:12:00Z') / 1000 } : problem(422, 'evidence', 'administrator')],
]
