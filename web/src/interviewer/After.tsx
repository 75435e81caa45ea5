import { useCallback, useEffect, useState } from 'react'
import { api } from '../api/http'
import type { Amendment, Record as Sealed, TodaysHearing, Utterance } from '../api/model'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { Given } from '../desk/Given'
import { useTexts } from '../i18n'
import { OwnRecording } from '../player/Viewing'
import { AmendmentText, LineList, SealedFacts } from '../record/parts'
import { Button, Field, Notice, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { Kept } from './Kept'

const refreshEvery = 4000
const noLines: Utterance[] = []

/** After the hearing: seal, hand over, answer corrections, seal again. Nothing sealed is ever changed (J4). */
export function After({ hearing, onHome }: { hearing: TodaysHearing; onHome: () => void }) {
  const { t } = useTexts()
  const [record, setRecord] = useState<Sealed | null>(null)
  const [draft, setDraft] = useState<Utterance[] | null>(null)
  const [problem, setProblem] = useState<Document | null>(null)

  const load = useCallback(async () => {
    try {
      const transcript = await api.transcript(hearing.hearing)
      setDraft(transcript.utterances)
      if (transcript.record !== '') setRecord(await api.record(transcript.record, 'interviewer'))
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
  }, [hearing.hearing])
  useEffect(() => {
    const first = setTimeout(() => void load(), 0)
    const timer = setInterval(() => void load(), refreshEvery)
    return () => {
      clearTimeout(first)
      clearInterval(timer)
    }
  }, [load])

  const act = async (work: () => Promise<unknown>) => {
    try {
      await work()
      setProblem(null)
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
    }
    await load()
  }

  return (
    <main id="content" className="page stack" tabIndex={-1}>
      <div className="row spread">
        <div>
          <h1>{t('staff.after.title')}</h1>
          <p className="quiet" dir="auto">
            {hearing.diary}
          </p>
        </div>
        <Button look="quiet" onPress={onHome}>
          {t('staff.after.home')}
        </Button>
      </div>
      <ProblemNotice problem={problem} />
      {record === null ? (
        <Section title={t('staff.transcript')}>
          <LineList lines={draft ?? []} />
          <div>
            <Button isDisabled={(draft ?? []).length === 0} onPress={() => void act(() => api.seal(hearing.hearing))}>
              {t('staff.after.seal1')}
            </Button>
          </div>
        </Section>
      ) : (
        <>
          <Next record={record} hearing={hearing} act={act} />
          <Section title={t('shared.record.title')}>
            <SealedFacts record={record} />
            <LineList lines={record.utterances} amendments={record.amendments} />
          </Section>
        </>
      )}
      <Given hearing={hearing.hearing} />
      <OwnRecording hearing={hearing.hearing} lines={record?.utterances ?? draft ?? noLines} />
      <Kept hearing={hearing.hearing} />
    </main>
  )
}

type Do = (work: () => Promise<unknown>) => Promise<void>

/** The one next step, and what it waits for. */
function Next({ record, hearing, act }: { record: Sealed; hearing: TodaysHearing; act: Do }) {
  const { t, moment } = useTexts()
  const { amendments } = record
  const open = amendments.filter((a) => a.answer === null)

  if (record.version > 1) return <Notice kind="success" title={t('staff.after.done', { version: record.version })} live />
  return (
    <Section title={t('staff.after.steps')}>
      {record.delivered === 0 ? (
        <>
          <p>{t('staff.after.deliverHelp')}</p>
          <div>
            <Button onPress={() => void act(() => api.deliver(record.record, record.language))}>{t('staff.after.deliver')}</Button>
          </div>
        </>
      ) : (
        <>
          <p>{t('staff.after.delivered', { when: moment(record.delivered) })}</p>
          <p>{record.received === 0 ? t('staff.after.receiptWaiting') : t('shared.record.received', { when: moment(record.received) })}</p>
          <h3>{t('staff.after.amendments')}</h3>
          {amendments.length === 0 ? (
            <p className="quiet">{t('staff.after.noAmendments')}</p>
          ) : (
            <ul className="stack tight">
              {amendments.map((a) => (
                <li key={a.amendment}>
                  <AmendmentText amendment={a} />
                  {a.answer === null && <Reply amendment={a} act={act} />}
                </li>
              ))}
            </ul>
          )}
          {record.outcome === null ? (
            <p className="quiet">{t('staff.after.outcomeWaiting')}</p>
          ) : (
            <>
              <Notice kind={record.outcome.outcome.startsWith('confirmed') ? 'success' : 'warning'} title={t(`shared.record.${record.outcome.outcome}`)}>
                {record.outcome.reasons !== '' && <p dir="auto">{record.outcome.reasons}</p>}
              </Notice>
              <div>
                <Button isDisabled={open.length > 0} onPress={() => void act(() => api.seal(hearing.hearing))}>
                  {t('staff.after.seal2', { version: record.version + 1 })}
                </Button>
              </div>
            </>
          )}
        </>
      )}
    </Section>
  )
}

function Reply({ amendment, act }: { amendment: Amendment; act: Do }) {
  const { t } = useTexts()
  const [text, setText] = useState('')
  const give = (decision: 'accepted' | 'noted') => void act(() => api.answer(amendment.amendment, decision, text.trim()))
  return (
    <div className="reply stack tight">
      <Field label={t('staff.after.replyText')} value={text} onChange={setText} />
      <div className="row">
        <Button isDisabled={text.trim() === ''} onPress={() => give('accepted')}>
          {t('staff.after.accept')}
        </Button>
        <Button look="secondary" isDisabled={text.trim() === ''} onPress={() => give('noted')}>
          {t('staff.after.note')}
        </Button>
      </div>
    </div>
  )
}
