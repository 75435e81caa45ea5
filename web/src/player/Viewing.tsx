import { useCallback, useEffect, useState } from 'react'
import type { Utterance } from '../api/model'
import { Problem } from '../api/problem'
import type { Document, HearingID } from '../api/words'
import { clockText, useTexts } from '../i18n'
import { Button, Field, Notice, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { viewings, type Outline, type Viewing } from './api'
import { Receipt } from './Copies'
import { Player } from './Player'
import './player.css'

const noLines: Utterance[] = []

/** Opens an allowed viewing and plays it. */
function useOpening() {
  const [opened, setOpened] = useState<{ viewing: Viewing; outline: Outline } | null>(null)
  const [problem, setProblem] = useState<Document | null>(null)
  const [busy, setBusy] = useState(false)
  const run = useCallback(async (make: () => Promise<Viewing>) => {
    setBusy(true)
    try {
      const viewing = await make()
      if (viewing.state === 'allowed') {
        await viewings.open(viewing)
        setOpened({ viewing, outline: await viewings.outline(viewing.viewing) })
      }
      setProblem(null)
      return viewing
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
      return null
    } finally {
      setBusy(false)
    }
  }, [])
  const [closed, setClosed] = useState(false)
  const close = () => {
    setOpened(null)
    setClosed(true)
  }
  return { opened, problem, busy, run, close, closed }
}

/** The recording of the own hearing: for a written purpose, and with the list of who listened (H6). */
export function OwnRecording({ hearing, lines }: { hearing: HearingID; lines: Utterance[] }) {
  const { t } = useTexts()
  const { opened, problem, busy, run, close, closed } = useOpening()
  const [purpose, setPurpose] = useState('')
  const [log, setLog] = useState<Viewing[] | null>(null)
  const load = useCallback(() => {
    viewings.ofHearing(hearing).then(setLog, () => setLog(null))
  }, [hearing])
  useEffect(load, [load, opened])
  return (
    <Section title={t('shared.player.title')}>
      <ProblemNotice problem={problem} />
      {opened === null ? (
        <>
          <p className="quiet">{t('shared.player.logged')}</p>
          <Field label={t('shared.player.purpose')} help={t('shared.player.purposeHelp')} value={purpose} onChange={setPurpose} required first={closed} />
          <div>
            <Button isDisabled={busy || purpose.trim() === ''} onPress={() => void run(() => viewings.ask(hearing, purpose.trim()))}>
              {t('shared.player.open')}
            </Button>
          </div>
        </>
      ) : (
        <Player key={opened.viewing.viewing} viewing={opened.viewing.viewing} first={opened.outline} lines={lines} copies={opened.viewing.hearing} onClose={close} />
      )}
      {log !== null && <Log log={log} onKept={load} />}
    </Section>
  )
}

/** Who listened, why, when, and to what (906/2019 17 §). */
function Log({ log, onKept }: { log: Viewing[]; onKept: () => void }) {
  const { t, moment, date, number } = useTexts()
  const shown = log.filter((v) => v.spans.length > 0 || v.media.length > 0 || v.exports.length > 0 || v.state !== 'allowed')
  return (
    <details>
      <summary>{t('shared.player.log', { count: shown.length })}</summary>
      {shown.length === 0 ? (
        <p className="quiet">{t('shared.player.logNone')}</p>
      ) : (
        <ul className="stack tight">
          {shown.map((v) => (
            <li key={v.viewing}>
              <p>
                <bdi>{v.asker}</bdi>, {moment(v.created)}: <span dir="auto">{v.purpose}</span>
              </p>
              <p className="quiet small">
                {v.own ? '' : `${t(`shared.player.state.${v.state}`)}. `}
                {v.spans
                  .filter((s) => s.kind === 'heard')
                  .map((s) => `${clockText(s.from)}–${clockText(s.to)} (${moment(s.first)})`)
                  .join(', ')}
              </p>
              {v.exports.map((e, i) => (
                <p key={i} className="quiet small">
                  {t('staff.kept.copy', { what: t(`staff.kept.form.${e.form}`), place: t(`staff.kept.place.${e.place}`), when: moment(e.begun) })}:{' '}
                  {e.sha256 === '' ? t('staff.kept.notWhole') : t('shared.player.copy.megabytes', { size: number(e.bytes / 1e6) })}
                </p>
              ))}
              {v.media.map((m) => (
                <div key={m.medium} className="quiet small">
                  {t('staff.kept.medium', { when: moment(m.made) })}: {m.handed === '' ? t('staff.kept.notHanded') : t('staff.kept.handed', { name: m.receiver, date: date(Date.parse(m.handed) / 1000) })}
                  {m.handed === '' && <Receipt viewing={v.viewing} medium={m.medium} onKept={onKept} />}
                </div>
              ))}
            </li>
          ))}
        </ul>
      )}
    </details>
  )
}

const lookEvery = 5000

/**
 * Viewings that need another's word: what waits for mine, what I asked for, and
 * how to ask (H6). Counsel asks for a client's hearing (K1), decides nothing and
 * takes no copy; `of` is then the hearings that have ended today.
 */
export function Requests({ of = null }: { of?: readonly HearingID[] | null }) {
  const { t, moment } = useTexts()
  const { opened, problem, busy, run, close } = useOpening()
  const [list, setList] = useState<Viewing[]>([])
  const [asking, setAsking] = useState(false)
  const load = useCallback(() => {
    viewings.mine().then(setList, () => undefined)
  }, [])
  useEffect(() => {
    load()
    const timer = setInterval(load, lookEvery)
    return () => clearInterval(timer)
  }, [load])
  const waiting = list.filter((v) => v.decide)
  const mine = list.filter((v) => v.mine && !v.own)
  if (opened !== null) {
    return (
      <Section title={t('shared.player.title')}>
        <Player viewing={opened.viewing.viewing} first={opened.outline} lines={noLines} copies={of === null ? opened.viewing.hearing : null} onClose={close} />
      </Section>
    )
  }
  return (
    <Section title={t(of === null ? 'shared.player.requests' : 'shared.player.title')}>
      {of !== null && <p className="quiet">{t('shared.player.counselHelp')}</p>}
      <ProblemNotice problem={problem} />
      {waiting.map((v) => (
        <Decide key={v.viewing} viewing={v} onDone={load} />
      ))}
      {of === null && waiting.length === 0 && <p className="quiet">{t('shared.player.noRequests')}</p>}
      {mine.length > 0 && (
        <ul className="stack tight">
          {mine.map((v) => (
            <li key={v.viewing} className="row spread">
              <span>
                <span dir="auto">{v.purpose}</span>{' '}
                <span className="quiet small">
                  {t(`shared.player.state.${v.state}`)}
                  {v.state === 'allowed' && ` ${t('shared.player.until', { when: moment(v.expires) })}`}
                  {v.reason !== '' && `: ${v.reason}`}
                </span>
              </span>
              {v.state === 'allowed' && (
                <Button look="secondary" isDisabled={busy} onPress={() => void run(() => Promise.resolve(v))}>
                  {t('shared.player.open')}
                </Button>
              )}
            </li>
          ))}
        </ul>
      )}
      {asking ? (
        <Ask
          first={of?.[0] ?? ''}
          onAsk={async (hearing, purpose, approver) => {
            if ((await run(() => viewings.ask(hearing, purpose, approver))) !== null) setAsking(false)
            load()
          }}
          onCancel={() => setAsking(false)}
        />
      ) : (
        <div>
          <Button look="secondary" onPress={() => setAsking(true)}>
            {t('shared.player.ask')}
          </Button>
        </div>
      )}
    </Section>
  )
}

function Ask({ first, onAsk, onCancel }: { first: string; onAsk: (hearing: string, purpose: string, approver: string) => Promise<void>; onCancel: () => void }) {
  const { t } = useTexts()
  const [hearing, setHearing] = useState(first)
  const [purpose, setPurpose] = useState('')
  const [approver, setApprover] = useState('')
  return (
    <div className="stack tight">
      <Field label={t('shared.player.hearing')} help={t('shared.player.hearingHelp')} value={hearing} onChange={setHearing} required />
      <Field label={t('shared.player.purpose')} help={t('shared.player.purposeHelp')} value={purpose} onChange={setPurpose} required />
      <Field label={t('shared.player.approver')} help={t('shared.player.approverHelp')} value={approver} onChange={setApprover} />
      <div className="row">
        <Button isDisabled={hearing.trim() === '' || purpose.trim() === ''} onPress={() => void onAsk(hearing.trim(), purpose.trim(), approver.trim())}>
          {t('shared.send')}
        </Button>
        <Button look="quiet" onPress={onCancel}>
          {t('shared.cancel')}
        </Button>
      </div>
    </div>
  )
}

function Decide({ viewing, onDone }: { viewing: Viewing; onDone: () => void }) {
  const { t, moment } = useTexts()
  const [reason, setReason] = useState('')
  const [problem, setProblem] = useState<Document | null>(null)
  const give = async (allow: boolean) => {
    try {
      await viewings.decide(viewing, allow, reason.trim())
      onDone()
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
  }
  return (
    <div className="stack tight">
      <Notice kind="info" title={t('shared.player.wants', { name: `${viewing.asker} (${t(`shared.role.${viewing.role}`)})`, when: moment(viewing.created) })}>
        <p dir="auto">{viewing.purpose}</p>
        <p className="small" dir="ltr">
          {viewing.hearing}
        </p>
      </Notice>
      <ProblemNotice problem={problem} />
      <Field label={t('shared.player.reason')} value={reason} onChange={setReason} required />
      <div className="row">
        <Button isDisabled={reason.trim() === ''} onPress={() => void give(true)}>
          {t('shared.player.allow')}
        </Button>
        <Button look="secondary" isDisabled={reason.trim() === ''} onPress={() => void give(false)}>
          {t('shared.player.decline')}
        </Button>
      </div>
    </div>
  )
}
