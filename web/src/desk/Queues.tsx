import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { nameOf } from '../kiosk/texts'
import { Button, Choice, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { desk, waited, type Line, type NumberAct, type Waiter } from './desk'
import { usePolled } from './polled'

const refreshEvery = 5000
const kept = 'kuule.desk' // at which this workstation's officer sits
const nowhere = '-'
const ask = () => desk.lines()

/** B16: numbers that visitors wait with. The page shows it where queues are set up. */
export function Queues() {
  const { t } = useTexts()
  const { value, at, problem, refresh } = usePolled(ask, refreshEvery)
  const [refused, setRefused] = useState<Document | null>(null)
  const [place, setPlace] = useState(() => sessionStorage.getItem(kept) ?? '')
  const lines = value?.queues ?? []
  const desks = [...new Set(lines.flatMap((l) => l.desks))]
  const here = desks.includes(place) ? place : (desks[0] ?? '')
  const act = async (what: () => Promise<unknown>) => {
    setRefused(null)
    try {
      await what()
    } catch (thrown) {
      setRefused(Problem.of(thrown).document)
    }
    await refresh()
  }
  if (lines.length === 0) return <ProblemNotice problem={problem} />
  return (
    <Section title={t('staff.desk.queues')}>
      <ProblemNotice problem={refused ?? problem} />
      <Choice
        label={t('staff.desk.here')}
        value={here}
        onChange={(chosen) => {
          sessionStorage.setItem(kept, chosen)
          setPlace(chosen)
        }}
        options={desks.map((d) => ({ id: d, text: d }))}
      />
      {lines.map((l) => (
        <Queue key={l.name} line={l} lines={lines} here={here} now={at} act={act} />
      ))}
    </Section>
  )
}

interface QueueProps {
  line: Line
  lines: Line[]
  here: string
  now: number
  act: (what: () => Promise<unknown>) => Promise<void>
}

function Queue({ line, lines, here, now, act }: QueueProps) {
  const { t } = useTexts()
  const { figures } = line
  return (
    <section className="stack tight" aria-label={line.label}>
      <div className="row spread">
        <h3>{line.label}</h3>
        <p role="status">{line.waiting.length === 0 ? t('staff.desk.nobodyWaits') : t('staff.desk.waits', { waiting: line.waiting.length })}</p>
      </div>
      {line.waiting.length > 0 && (
        <ul className="stack tight small">
          {line.waiting.slice(0, 5).map((n) => (
            <li key={n.id}>
              <About number={n} now={now} />
            </li>
          ))}
        </ul>
      )}
      {line.desks.includes(here) && (
        <div>
          <Button onPress={() => void act(() => desk.next(line.name, here))}>{t('staff.desk.next', { desk: here })}</Button>
        </div>
      )}
      <ul className="stack tight">
        {line.called.map((n) => (
          <Called key={n.id} number={n} lines={lines} now={now} onAct={(what, to) => act(() => desk.act(n.id, what, to))} />
        ))}
      </ul>
      {figures.drawn > 0 && (
        <p className="quiet small">
          {t('staff.desk.flow', {
            drawn: figures.drawn, done: figures.done, absent: figures.absent, handed: figures.handed, half: waited(figures.wait_p50), most: waited(figures.wait_p95), took: waited(figures.took_p50),
          })}
        </p>
      )}
    </section>
  )
}

function About({ number, now }: { number: Waiter; now: number }) {
  const { t } = useTexts()
  const { t: any, i18n } = useTranslation()
  const matter = i18n.exists(`staff.desk.matter.${number.matter}`) ? any(`staff.desk.matter.${number.matter}` as 'staff.desk.matter.desk') : number.matter
  return (
    <>
      <strong>
        <bdi dir="ltr">{number.text}</bdi>
      </strong>{' '}
      {matter} · <bdi>{nameOf(number.language)}</bdi> · {t('staff.desk.waited', { time: waited((now - Date.parse(number.drawn)) / 1000) })}
      {number.for_desk !== undefined && ` · ${t('staff.desk.onlyFor', { desk: number.for_desk })}`}
    </>
  )
}

function Called({ number, lines, now, onAct }: { number: Waiter; lines: Line[]; now: number; onAct: (what: NumberAct, to?: { queue: string; desk: string }) => Promise<void> }) {
  const { t } = useTexts()
  const [to, setTo] = useState(nowhere)
  const places = lines.flatMap((l) => [{ id: `${l.name}|`, text: l.label }, ...l.desks.filter((d) => d !== number.desk).map((d) => ({ id: `${l.name}|${d}`, text: `${l.label}: ${d}` }))])
  const hand = () => {
    const [queue = '', place = ''] = to.split('|')
    void onAct('hand', { queue, desk: place })
  }
  return (
    <li className="stack tight called">
      <p>
        <About number={number} now={now} /> · <strong>{number.desk}</strong>
        {number.calls > 1 && ` · ${t('staff.desk.times', { times: number.calls })}`}
      </p>
      <div className="row" role="group" aria-label={number.text}>
        <Button onPress={() => void onAct('done')}>{t('staff.desk.numberDone')}</Button>
        <Button look="secondary" onPress={() => void onAct('again')}>
          {t('staff.desk.callAgain')}
        </Button>
        <Button look="secondary" onPress={() => void onAct('absent')}>
          {t('staff.desk.absent')}
        </Button>
      </div>
      <div className="row">
        <Choice label={t('staff.desk.handTo')} value={to} onChange={setTo} options={[{ id: nowhere, text: '–' }, ...places]} />
        <Button look="secondary" isDisabled={to === nowhere} onPress={hand}>
          {t('staff.desk.hand')}
        </Button>
      </div>
    </li>
  )
}
