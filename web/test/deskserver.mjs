// The officers' desk, as kiosk-bridge and internal/app answer it: calls, possible
// duplicates and certificates. `late` in a scene: another officer settles first.

const call = (n, language) => ({ call: `cal_${n}`, place: `Joutseno, kioski ${n}`, language, step: 'document', raised: new Date(Date.now() - n * 20_000).toISOString(), answered: false })

function duplicates(uuid) {
  const of = (n) => ({ visit: `vis_${uuid(n)}`, case: `cas_${uuid(n)}`, participant: `par_${uuid(n)}`, submitted: '2026-11-20T08:12:00Z' })
  return [
    {
      ...of(1), lost: '', threshold: 'fmr-1e-6', line: 380, algorithm: 'kuule-face-512', size: 48_211, asOf: '2026-11-20T02:00:00Z',
      candidates: [{ modality: 'face', reference: 'REG-0004711', score: 412 }, { modality: 'finger-7', reference: 'REG-00000000000000000000000009312', score: 391 }],
    },
    { ...of(2), lost: 'register-absent', threshold: '', line: 0, algorithm: '', size: 0, asOf: '0001-01-01T00:00:00Z', candidates: [] },
  ]
}

export const deskRoutes = (uuid, problem) => [
  ['GET', /^\/api\/desk$/, () => ({ calls: ['prs', 'so', 'kmr'].map((language, i) => call(i + 1, language)), answers: { calls: 0, p50: 0, p95: 0 }, notices: [], identifications: [] })],
  ['GET', /^\/api\/desk\/visits$/, () => ({ target: 90_000, visits: 0, p50: 0, p95: 0, max: 0, over: 0, steps: [], recent: [] })],
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
