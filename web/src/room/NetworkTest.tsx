import { useState } from 'react'
import { listed, useTexts } from '../i18n'
import { measureLegs, taken, verdict, type Figures, type LegResult } from '../media/selftest'
import { Button, Notice } from '../ui/controls'

/** The line to the media server, measured leg by leg: what works, what is cut, and what to do next. */
export function NetworkTest() {
  const { t } = useTexts()
  const [legs, setLegs] = useState<LegResult[]>([])
  const [running, setRunning] = useState(false)
  const [done, setDone] = useState(false)
  const [failed, setFailed] = useState(false)

  const start = async () => {
    setRunning(true)
    setDone(false)
    setFailed(false)
    try {
      setLegs(await measureLegs(setLegs))
      setDone(true)
    } catch {
      setFailed(true)
    } finally {
      setRunning(false)
    }
  }

  return (
    <div className="stack tight network-test">
      <div>
        <Button look="secondary" large isDisabled={running} onPress={() => void start()}>
          {t(running ? 'shared.networkTest.running' : 'shared.networkTest.start')}
        </Button>
      </div>
      {failed && <Notice kind="alert" title={t('shared.networkTest.verdict.unmeasured')} live />}
      {done && <Outcome legs={legs} />}
      {legs.length > 0 && <Legs legs={legs} />}
    </div>
  )
}

function Outcome({ legs }: { legs: LegResult[] }) {
  const { t } = useTexts()
  const outcome = verdict(legs)
  const cut = legs.filter((l) => l.state === 'cut')
  const way = taken(legs)
  const named = (l: LegResult) => `${t(`shared.networkTest.leg.${l.leg}`)} ${l.address}`
  const kind = { good: 'success', detour: 'info', weak: 'warning', cut: 'alert', unmeasured: 'warning' } as const
  return (
    <Notice kind={kind[outcome]} title={t(`shared.networkTest.verdict.${outcome}`)} live>
      <p>{t(`shared.networkTest.next.${outcome}`)}</p>
      {way !== null && <p>{t('shared.networkTest.takes', { way: named(way) })}</p>}
      {cut.length > 0 && <p>{t('shared.networkTest.tell', { addresses: listed(cut.map(named)) })}</p>}
    </Notice>
  )
}

function Legs({ legs }: { legs: LegResult[] }) {
  const { t, locale } = useTexts()
  const number = (n: number, digits = 0) => new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(n)
  const columns: { key: keyof Figures; show: (f: Figures) => string }[] = [
    { key: 'rtt', show: (f) => `${number(f.rtt)} ms` },
    { key: 'jitter', show: (f) => `${number(f.jitter, 1)} ms` },
    { key: 'loss', show: (f) => `${number(f.loss * 100, 1)} %` },
    { key: 'up', show: (f) => `${number(f.up / 1e6, 1)} Mbit/s` },
    { key: 'down', show: (f) => `${number(f.down / 1e6, 1)} Mbit/s` },
  ]
  return (
    <table className="legs" aria-label={t('shared.networkTest.title')}>
      <thead>
        <tr>
          <th scope="col">{t('shared.networkTest.path')}</th>
          <th scope="col">{t('shared.networkTest.result')}</th>
          {columns.map(({ key }) => (
            <th key={key} scope="col">
              {t(`shared.networkTest.${key}`)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {legs.map((l) => (
          <tr key={`${l.leg} ${l.address}`} data-leg={l.leg} data-state={l.state}>
            <th scope="row">
              {t(`shared.networkTest.leg.${l.leg}`)}
              <br />
              <code dir="ltr">{l.address}</code>
            </th>
            <td>{t(`shared.networkTest.state.${l.state}`)}</td>
            {columns.map(({ key, show }) => (
              <td key={key} dir="ltr">
                {l.state === 'works' ? show(l.figures) : '–'}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}
