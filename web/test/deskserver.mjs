// The officers' desk, as kiosk-bridge and internal/app answer it: calls, possible
// duplicates and certificates. `late` in a scene: another officer settles first.

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
