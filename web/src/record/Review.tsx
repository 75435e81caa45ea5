import { useCallback, useEffect, useState } from 'react'
import { api } from '../api/http'
import type { Record as Sealed, Utterance, OpenRecord } from '../api/model'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { fi } from '../i18n/fi'
import { LegalText } from '../room/Notice'
import { Button, Check, Field, Notice, Section } from '../ui/controls'
import { ProblemNotice, Refusal } from '../ui/Refusal'
import { Line, LineList, SealedFacts } from './parts'

/** The record as it is handed over: notice, lines one by one, corrections, one outcome (J1, J3, J7). */
export function Review({ open, applicant = false, onHome }: { open: OpenRecord; applicant?: boolean; onHome: () => void }) {
  const { record: id, role } = open
  const { t, moment } = useTexts()
  const [record, setRecord] = useState<Sealed | null>(null)
  const [problem, setProblem] = useState<Document | null>(null)
  const [read, setRead] = useState<ReadonlySet<string>>(new Set())
  const load = useCallback(() => {
    api
      .record(id, role)
      .then(setRecord)
      .catch((thrown: unknown) => setProblem(Problem.of(thrown).document))
  }, [id, role])
  useEffect(load, [load])

  const markRead = useCallback((ids: string[]) => setRead((before) => (ids.every((u) => before.has(u)) ? before : new Set([...before, ...ids]))), [])

  const act = async (work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work()
      setProblem(null)
      load()
      return true
    } catch (thrown) {
      setProblem(Problem.of(thrown).document)
      return false
    }
  }

  if (record === null) {
    if (problem !== null) {
      return (
        <Refusal problem={problem} applicant={applicant}>
          <div>
            <Button onPress={onHome}>{t('shared.back')}</Button>
          </div>
        </Refusal>
      )
    }
    return (
      <main id="content" className="page narrow" tabIndex={-1}>
        <p>{t('shared.loading')}</p>
      </main>
    )
  }
  return (
    <main id="content" className={`page narrow stack${applicant ? ' plain' : ''}`} tabIndex={-1}>
      <div>
        <h1>{t('shared.record.title')}</h1>
        <SealedFacts record={record} />
      </div>
      <ProblemNotice problem={problem} />
      <Section title={t('shared.record.noticeTitle')}>
        <LegalText text={t('shared.record.notice')} finnish={fi.shared.record.notice} />
        {record.received === 0 ? (
          <div>
            <Button large={applicant} onPress={() => void act(() => api.receipt(id))}>
              {t('shared.record.receive')}
            </Button>
          </div>
        ) : (
          <Notice kind="success" title={t('shared.record.received', { when: moment(record.received) })} />
        )}
      </Section>
      {record.received !== 0 && (
        <>
          <Lines record={record} act={act} large={applicant} onRead={markRead} />
          <Outcome record={record} act={act} large={applicant} read={record.utterances.every((u) => read.has(u.utterance))} />
        </>
      )}
      <div>
        <Button look="quiet" onPress={onHome}>
          {t('shared.back')}
        </Button>
      </div>
    </main>
  )
}

type Do = (work: () => Promise<unknown>) => Promise<boolean>

function Lines({ record, act, large, onRead }: { record: Sealed; act: Do; large: boolean; onRead: (ids: string[]) => void }) {
  const { t } = useTexts()
  const { utterances: lines, amendments } = record
  const [at, setAt] = useState(0)
  const [all, setAll] = useState(false)
  const line = lines.at(at)
  const shown = all ? lines.map((l) => l.utterance).join(' ') : (line?.utterance ?? '')
  useEffect(() => onRead(shown.split(' ')), [shown, onRead])
  if (line === undefined) return null
  return (
    <Section title={all ? t('shared.record.title') : t('shared.record.line', { number: at + 1, total: lines.length })} className={`card stack${large ? ' reading' : ''}`}>
      {all ? <LineList lines={lines} amendments={amendments} /> : <Line line={line} amendments={amendments} large={large} />}
      {!all && record.outcome === null && <Correct key={line.utterance} line={line} record={record} act={act} large={large} />}
      <div className="row spread">
        {!all && (
          <div className="row">
            <Button large={large} look="secondary" isDisabled={at === 0} onPress={() => setAt(at - 1)}>
              {t('shared.record.previous')}
            </Button>
            <Button large={large} isDisabled={at === lines.length - 1} onPress={() => setAt(at + 1)}>
              {t('shared.record.next')}
            </Button>
          </div>
        )}
        <Button look="quiet" onPress={() => setAll(!all)}>
          {all ? t('shared.record.one') : t('shared.record.all')}
        </Button>
      </div>
    </Section>
  )
}

function Correct({ line, record, act, large }: { line: Utterance; record: Sealed; act: Do; large: boolean }) {
  const { t, language } = useTexts()
  const [open, setOpen] = useState(false)
  const [text, setText] = useState('')
  if (!open) {
    return (
      <div>
        <Button large={large} look="secondary" onPress={() => setOpen(true)}>
          {t('shared.record.correct')}
        </Button>
      </div>
    )
  }
  const send = async () => {
    if (await act(() => api.amend(record.record, line.utterance, text.trim(), language))) {
      setText('')
      setOpen(false)
    }
  }
  return (
    <div className="stack tight">
      <Field label={t('shared.record.correction')} help={t('shared.record.correctionHelp')} value={text} onChange={setText} lines />
      <div className="row">
        <Button isDisabled={text.trim() === ''} onPress={() => void send()}>
          {t('shared.send')}
        </Button>
        <Button look="quiet" onPress={() => setOpen(false)}>
          {t('shared.cancel')}
        </Button>
      </div>
    </div>
  )
}

/** J7: exactly one outcome; a refusal has reasons, or the person's word that none are given. */
function Outcome({ record, act, large, read }: { record: Sealed; act: Do; large: boolean; read: boolean }) {
  const { t } = useTexts()
  const [refusing, setRefusing] = useState(false)
  const [reasons, setReasons] = useState('')
  const [none, setNone] = useState(false)
  if (record.outcome !== null) {
    return <Notice kind={record.outcome.outcome.startsWith('confirmed') ? 'success' : 'warning'} title={t(`shared.record.${record.outcome.outcome}`)} live />
  }
  return (
    <Section title={t('shared.record.outcome')}>
      <p>{t('shared.record.outcomeHelp')}</p>
      {refusing ? (
        <>
          {!none && <Field label={t('shared.record.reasons')} help={t('shared.record.reasonsHelp')} value={reasons} onChange={setReasons} lines />}
          <Check selected={none} onChange={setNone}>
            {t('shared.record.noReasons')}
          </Check>
          <div className="row">
            <Button
              large={large}
              look="danger"
              isDisabled={!none && reasons.trim() === ''}
              onPress={() => void act(() => api.end(record.record, none ? { outcome: 'refused', declined_reasons: true } : { outcome: 'refused', reasons: reasons.trim() }))}
            >
              {t('shared.record.refuseSend')}
            </Button>
            <Button look="quiet" onPress={() => setRefusing(false)}>
              {t('shared.back')}
            </Button>
          </div>
        </>
      ) : (
        <div className="row">
          <Button large={large} isDisabled={!read} onPress={() => void act(() => api.end(record.record, { outcome: record.amendments.length > 0 ? 'confirmed-with-amendments' : 'confirmed' }))}>
            {t('shared.record.confirm')}
          </Button>
          <Button large={large} look="secondary" onPress={() => setRefusing(true)}>
            {t('shared.record.refuse')}
          </Button>
        </div>
      )}
    </Section>
  )
}
