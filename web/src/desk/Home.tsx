import { useCallback, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { grouped, isRight, length, symbol } from '../kiosk/reference'
import { nameOf } from '../kiosk/texts'
import { Button, Field, Notice, Radios, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { desk, methods, nameHere, waited, type Call, type Handed, type Identification, type Led, type Method, type Notice as PartNotice, type Waiting } from './desk'
import { CheckCertificate } from './CheckCertificate'
import { Duplicates } from './Duplicates'
import { Figures } from './Figures'
import { HandedOver, TakeOver } from './HandedOver'

const refreshEvery = 3000

/** The officer's desk: calls from kiosks, and people whom no kiosk could identify. */
export function Home() {
  const { t } = useTexts()
  const [waiting, setWaiting] = useState<Waiting | null>(null)
  const [problem, setProblem] = useState<Document | null>(null)
  const [led, setLed] = useState<Led | null>(null)
  const [handed, setHanded] = useState<Handed | null>(null)
  const [now, setNow] = useState(() => Date.now())
  const refresh = useCallback(async () => {
    try {
      setWaiting(await desk.waiting())
      setNow(Date.now())
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
  }, [])
  useEffect(() => {
    const first = setTimeout(() => void refresh(), 0)
    const timer = setInterval(() => void refresh(), refreshEvery)
    return () => {
      clearTimeout(first)
      clearInterval(timer)
    }
  }, [refresh])
  const act = async (what: () => Promise<unknown>): Promise<boolean> => {
    setProblem(null)
    let done = true
    try {
      await what()
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
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
      <ProblemNotice problem={problem} />
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
