import { useCallback, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { grouped, isRight, length, symbol } from '../kiosk/reference'
import { nameOf } from '../kiosk/texts'
import { Button, Check, Field, Notice, Radios, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { desk, methods, nameHere, waited, type Answers, type Call, type Handed, type Identification, type Led, type Method, type Notice as PartNotice } from './desk'
import { CheckCertificate } from './CheckCertificate'
import { Duplicates } from './Duplicates'
import { Figures } from './Figures'
import { Given } from './Given'
import { HandedOver, TakeOver } from './HandedOver'
import { usePolled } from './polled'
import { Queues } from './Queues'

const refreshEvery = 3000
const kept = 'kuule.help' // queues whose calls this workstation hears

/** The officer's desk: calls from kiosks, and people whom no kiosk could identify. */
export function Home() {
  const { t } = useTexts()
  const [heard, setHeard] = useState<string[]>(() => (sessionStorage.getItem(kept) ?? '').split(' ').filter((q) => q !== ''))
  const ask = useCallback(() => desk.waiting(heard), [heard])
  const { value: waiting, at: now, problem, refresh } = usePolled(ask, refreshEvery)
  const [refused, setRefused] = useState<Document | null>(null)
  const [led, setLed] = useState<Led | null>(null)
  const [handed, setHanded] = useState<Handed | null>(null)
  const act = async (what: () => Promise<unknown>): Promise<boolean> => {
    setRefused(null)
    let done = true
    try {
      await what()
    } catch (thrown) {
      setRefused(Problem.of(thrown).document)
      done = false
    }
    await refresh()
    return done
  }
  const stand = (i: Identification) => act(async () => setLed(await desk.stand(i)))
  const calls = waiting?.calls ?? []
  useEffect(() => {
    document.title = calls.length === 0 ? 'Kuule' : `(${calls.length}) Kuule`
    return () => {
      document.title = 'Kuule'
    }
  }, [calls.length])

  return (
    <main id="content" className="page narrow stack" tabIndex={-1}>
      <h1>{t('staff.desk.title')}</h1>
      <ProblemNotice problem={refused ?? problem} />
      {led !== null && <Result led={led} />}
      <Section title={t('staff.desk.calls')}>
        {calls.length === 0 ? (
          <p className="quiet">{t('staff.desk.noCalls')}</p>
        ) : (
          <ul className="stack tight" aria-live="assertive">
            {calls.map((c) => (
              <CallCard key={c.call} call={c} now={now} onAnswer={() => void act(() => desk.answer(c.call))} />
            ))}
          </ul>
        )}
        {waiting !== null && waiting.queues.length > 1 && <HelpQueues queues={waiting.queues} heard={heard} onHeard={(names) => (sessionStorage.setItem(kept, names.join(' ')), setHeard(names))} />}
        {waiting !== null && waiting.answers.calls > 0 && (
          <p className="quiet small">
            {t('staff.desk.answers', { calls: waiting.answers.calls, half: waited(waiting.answers.p50), most: waited(waiting.answers.p95) })}
          </p>
        )}
      </Section>
      {waiting !== null && waiting.identifications.length > 0 && (
        <Section title={t('staff.desk.waiting')}>
          <ul className="stack tight">
            {waiting.identifications.map((i) => (
              <li key={i.visit} className="stack tight">
                <strong>{i.name}</strong>
                <p>
                  {t(`staff.desk.method.${i.method}`)}. <q>{i.note}</q>
                </p>
                <p className="quiet small">{t('staff.desk.words', { words: i.words, needed: i.needed })}</p>
                {i.needed > 1 && i.method !== 'known' && <p className="small">{t('staff.desk.biometrics')}</p>}
                {i.mine ? (
                  <p>{t('staff.desk.another')}</p>
                ) : (
                  <div>
                    <Button onPress={() => void stand(i)}>{t('staff.desk.stand', { name: i.name })}</Button>
                  </div>
                )}
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Queues />
      <TakeOver onCode={(code) => act(async () => setHanded(await desk.takeOver(code)))} />
      {handed !== null && <HandedOver handed={handed} />}
      <Identify
        key={handed?.visit ?? ''}
        {...(handed === null ? {} : { name: handed.name })}
        onBegin={(reference, method, note) =>
          act(async () => {
            setLed(null)
            await desk.begin(handed === null ? { reference } : { from: handed.visit }, method, note)
            setHanded(null)
          })
        }
      />
      <Duplicates />
      <Given />
      <CheckCertificate />
      {(waiting?.notices ?? []).length > 0 && (
        <Section title={t('staff.desk.notices')}>
          <ul className="stack tight">
            {(waiting?.notices ?? []).map((n) => (
              <NoticeCard key={n.notice} notice={n} onSee={() => void act(() => desk.see(n.notice))} />
            ))}
          </ul>
        </Section>
      )}
      <Figures />
    </main>
  )
}

/** B14: whose calls are heard here. A queue that nobody hears is told to the person who rings it. */
function HelpQueues({ queues, heard, onHeard }: { queues: Answers[]; heard: string[]; onHeard: (names: string[]) => void }) {
  const { t } = useTexts()
  return (
    <ul className="stack tight">
      {queues.map((q) => {
        const name = q.queue ?? ''
        const on = heard.length === 0 || heard.includes(name)
        const others = queues.map((o) => o.queue ?? '').filter((o) => o !== name && (heard.length === 0 || heard.includes(o)))
        return (
          <li key={name} className="row spread">
            <Check selected={on} onChange={(chosen) => onHeard(chosen ? [...others, name] : others.length === 0 ? [name] : others)}>
              {t('staff.desk.hears', { queue: q.label ?? name })}
            </Check>
            <span className="quiet small">
              {q.staffed ? t('staff.desk.staffed') : t('staff.desk.unstaffed')}
              {q.calls > 0 && ` · ${t('staff.desk.answers', { calls: q.calls, half: waited(q.p50), most: waited(q.p95) })}`}
            </span>
          </li>
        )
      })}
    </ul>
  )
}

function Result({ led }: { led: Led }) {
  const { t, time } = useTexts()
  if (led.result === 'desk') return <Notice title={t('staff.desk.counted')} live />
  return (
    <Notice kind="success" title={t('staff.desk.ticket')} live>
      <p>
        <bdi>{led.place}</bdi> · {t('kiosk.until')} <bdi>{time(led.expires ?? 0)}</bdi>
      </p>
    </Notice>
  )
}

function CallCard({ call, now, onAnswer }: { call: Call; now: number; onAnswer: () => void }) {
  const { t, locale } = useTexts()
  const here = nameHere(call.language, locale)
  return (
    <li className="row spread">
      <div>
        <strong>{call.place}</strong>
        <p className="quiet small">
          <bdi>{nameOf(call.language)}</bdi>
          {here !== '' && ` (${here})`} · {t('staff.desk.waited', { time: waited((now - Date.parse(call.raised)) / 1000) })}
        </p>
      </div>
      <Button onPress={onAnswer}>{t('staff.desk.answer')}</Button>
    </li>
  )
}

function NoticeCard({ notice, onSee }: { notice: PartNotice; onSee: () => void }) {
  const { t, time } = useTexts()
  const { t: any, i18n } = useTranslation()
  const word = (kind: 'part' | 'code', name: string) => (i18n.exists(`staff.desk.${kind}.${name}`) ? any(`staff.desk.${kind}.${name}` as 'staff.desk.part.camera') : name)
  return (
    <li className="row spread">
      <div>
        <strong>{notice.place}</strong>
        <p>
          {word('part', notice.part)}: {word('code', notice.code)}
        </p>
        <p className="quiet small">
          <bdi>{time(Date.parse(notice.raised) / 1000)}</bdi>
          {notice.times > 1 && ` · ${t('staff.desk.times', { times: notice.times })}`}
        </p>
      </div>
      <Button look="secondary" onPress={onSee}>
        {t('staff.desk.see')}
      </Button>
    </li>
  )
}

/** With a name, the person's visit was taken over: there is no code to type. */
function Identify({ name, onBegin }: { name?: string; onBegin: (reference: string, method: Method, note: string) => Promise<boolean> }) {
  const { t } = useTexts()
  const [code, setCode] = useState('')
  const [method, setMethod] = useState<Method>('document')
  const [note, setNote] = useState('')
  const full = code.length === length
  const begin = async () => {
    if (!(await onBegin(grouped(code), method, note.trim()))) return
    setCode('')
    setNote('')
  }
  return (
    <Section title={name === undefined ? t('staff.desk.identify') : t('staff.desk.goOn', { name })}>
      <p className="quiet">{t('staff.desk.identifyHelp')}</p>
      {name === undefined && (
        <Field
          label={t('kiosk.code.label')}
          value={grouped(code)}
          onChange={(text) => setCode(Array.from(text).map(symbol).join('').slice(0, length))}
          {...(full && !isRight(code) ? { wrong: t('kiosk.code.wrong') } : {})}
          required
        />
      )}
      <Radios label={t('staff.desk.how')} value={method} onChange={setMethod} options={methods.map((m) => ({ id: m, text: t(`staff.desk.method.${m}`) }))} />
      <Field label={t('staff.desk.note')} help={t('staff.desk.noteHelp')} value={note} onChange={setNote} lines required />
      <div>
        <Button isDisabled={(name === undefined && !isRight(code)) || note.trim().length < 10} onPress={() => void begin()}>
          {t('staff.desk.begin')}
        </Button>
      </div>
    </Section>
  )
}
