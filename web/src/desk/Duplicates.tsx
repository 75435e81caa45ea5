import { useId, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Problem } from '../api/problem'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { Button, Field, Notice, Radios, Section } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'
import { desk, settlements, type Duplicate, type Settlement } from './desk'
import { usePolled } from './polled'

const refreshEvery = 30_000
const shortest = 10 // characters of a note
const ask = () => desk.duplicates()

/** B5: people who may be in the register under another name. A hint for officers, and no proof. */
export function Duplicates() {
  const { t } = useTexts()
  const { value, problem, refresh } = usePolled(ask, refreshEvery)
  const tasks = value?.tasks ?? null
  const [refused, setRefused] = useState<Document | null>(null)
  const [settled, setSettled] = useState(false)
  const status = useRef<HTMLDivElement>(null)
  const settle = async (task: Duplicate, found: Settlement, note: string) => {
    setRefused(null)
    setSettled(false)
    try {
      await desk.settle(task.visit, found, note)
      setSettled(true)
    } catch (thrown) {
      setRefused(Problem.of(thrown).document)
    }
    await refresh() // another officer may have settled it
    status.current?.focus() // what had the focus is gone
  }
  return (
    <Section title={t('staff.desk.duplicates')}>
      <ProblemNotice problem={refused ?? problem} />
      <div role="status" tabIndex={-1} ref={status}>
        {tasks !== null && (
          <p className="quiet">
            {settled && `${t('staff.desk.settled')} `}
            {tasks.length === 0 ? t('staff.desk.noDuplicates') : t('staff.desk.tasks', { tasks: tasks.length })}
          </p>
        )}
      </div>
      {tasks !== null && tasks.length > 0 && (
        <>
          <Notice kind="warning" title={t('staff.desk.hint')}>
            <p>{t('staff.desk.hintHelp')}</p>
          </Notice>
          <ul className="stack">
            {tasks.map((task) => (
              <Task key={task.visit} task={task} onSettle={(found, note) => settle(task, found, note)} />
            ))}
          </ul>
        </>
      )}
    </Section>
  )
}

function Task({ task, onSettle }: { task: Duplicate; onSettle: (found: Settlement, note: string) => Promise<void> }) {
  const { t, moment } = useTexts()
  const { t: any, i18n } = useTranslation()
  const id = useId()
  const [found, setFound] = useState<Settlement | null>(null) // none is suggested
  const [note, setNote] = useState('')
  const [sending, setSending] = useState(false)
  const why = i18n.exists(`staff.desk.lost.${task.lost}`) ? any(`staff.desk.lost.${task.lost}` as 'staff.desk.lost.register-absent') : task.lost
  const ready = found !== null && note.trim().length >= shortest && !sending
  const settle = async () => {
    if (found === null) return
    setSending(true)
    await onSettle(found, note.trim())
    setSending(false)
  }
  return (
    <li className="stack tight" aria-labelledby={id}>
      <h3 id={id}>{t(task.lost === '' ? 'staff.desk.searched' : 'staff.desk.searchLost', { time: moment(Date.parse(task.submitted) / 1000) })}</h3>
      <dl className="facts-list small">
        {task.diary !== '' && (
          <>
            <dt>{t('staff.diary')}</dt>
            <dd>
              <bdi>{task.diary}</bdi>
            </dd>
          </>
        )}
        <dt>{t('staff.desk.case')}</dt>
        <dd>
          <code dir="ltr">{task.case}</code>
        </dd>
        <dt>{t('staff.desk.participant')}</dt>
        <dd>
          <code dir="ltr">{task.participant}</code>
        </dd>
        <dt>{t('staff.desk.visit')}</dt>
        <dd>
          <code dir="ltr">{task.visit}</code>
        </dd>
      </dl>
      {task.lost === '' ? <Hits task={task} /> : <p>{t('staff.desk.byHand', { why })}</p>}
      <details className="details">
        <summary>{t('staff.desk.settle')}</summary>
        <div className="stack tight">
          <Radios label={t('staff.desk.settlement')} value={found} onChange={setFound} options={settlements.map((s) => ({ id: s, text: t(`staff.desk.settlements.${s}`) }))} />
          <Field label={t('staff.desk.note')} help={t('staff.desk.settleHelp')} value={note} onChange={setNote} lines required />
          <div>
            <Button isDisabled={!ready} onPress={() => void settle()}>
              {t('staff.desk.settleNow')}
            </Button>
          </div>
        </div>
      </details>
    </li>
  )
}

function Hits({ task }: { task: Duplicate }) {
  const { t, moment } = useTexts()
  const part = (modality: string) => {
    const finger = /^finger-(\d+)$/.exec(modality)?.[1]
    if (finger !== undefined) return t('staff.desk.finger', { finger })
    return modality === 'face' ? t('staff.desk.face') : modality
  }
  return (
    <>
      <table className="small">
        <thead>
          <tr>
            <th scope="col">{t('staff.desk.reference')}</th>
            <th scope="col">{t('staff.desk.searchedBy')}</th>
            <th scope="col">{t('staff.desk.score')}</th>
          </tr>
        </thead>
        <tbody>
          {task.candidates.map((c) => (
            <tr key={`${c.modality} ${c.reference}`}>
              <th scope="row">
                <code dir="ltr">{c.reference}</code>
              </th>
              <td>{part(c.modality)}</td>
              <td>{t('staff.desk.over', { score: c.score, line: task.line })}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="quiet small">{t('staff.desk.register', { threshold: task.threshold, line: task.line, algorithm: task.algorithm, size: task.size, time: moment(Date.parse(task.asOf) / 1000) })}</p>
    </>
  )
}
