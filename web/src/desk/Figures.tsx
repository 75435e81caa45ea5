import { useTexts } from '../i18n'
import { Section } from '../ui/controls'
import { desk, seconds } from './desk'
import { usePolled } from './polled'

const refreshEvery = 60_000
const ask = () => desk.visits()

/** B10: how long visits took, and which step was slow. Of who was there it says nothing. */
export function Figures() {
  const { t, time } = useTexts()
  // The figures are an extra: where they cannot be had, the desk goes on without.
  const { value: sum } = usePolled(ask, refreshEvery)
  if (sum === null || sum.visits === 0) return null
  const slow = sum.recent.filter((v) => v.took > sum.target)
  return (
    <Section title={t('staff.desk.visits')}>
      <p>{t('staff.desk.took', { visits: sum.visits, half: seconds(sum.p50), most: seconds(sum.p95), max: seconds(sum.max), over: sum.over, target: seconds(sum.target) })}</p>
      <p>{t('staff.desk.ways', { desk: sum.to_desk, visits: sum.visits, again: sum.again, tries: sum.retried, searched: sum.duplicates.searched, found: sum.duplicates.found, same: sum.duplicates.same })}</p>
      <table className="small">
        <thead>
          <tr>
            <th scope="col">{t('staff.desk.step')}</th>
            <th scope="col">{t('staff.desk.halfOf')}</th>
            <th scope="col">{t('staff.desk.mostOf')}</th>
            <th scope="col">{t('staff.desk.again')}</th>
          </tr>
        </thead>
        <tbody>
          {sum.steps.map((s) => (
            <tr key={s.step}>
              <th scope="row">{s.step}</th>
              <td>{seconds(s.p50)}</td>
              <td>{seconds(s.p95)}</td>
              <td>{s.tries}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {slow.length > 0 && (
        <ul className="stack tight small">
          {slow.map((v) => (
            <li key={v.visit}>{t('staff.desk.slow', { place: v.place, time: time(Date.parse(v.ended) / 1000), took: seconds(v.took), step: v.slow ?? '', stepTook: seconds(v.slow_ms ?? 0) })}</li>
          ))}
        </ul>
      )}
    </Section>
  )
}
