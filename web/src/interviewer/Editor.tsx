import { useEffect, useRef, useState, useSyncExternalStore, type KeyboardEvent } from 'react'
import { api } from '../api/http'
import { utteranceKinds, type Utterance, type UtteranceKind, type TodaysHearing } from '../api/model'
import type { Micros, ParticipantID, Role } from '../api/words'
import { clockText, useTexts } from '../i18n'
import { Button, Section } from '../ui/controls'
import { Icon } from '../ui/Icon'
import { Lines } from './lines'

/** Which kind usually comes after which, so that the common case needs no choosing. */
const after: Record<UtteranceKind, UtteranceKind> = { question: 'answer', answer: 'question', rendering: 'question', note: 'question' }

const speakers: Record<UtteranceKind, readonly Role[]> = { question: ['interviewer'], answer: ['applicant'], rendering: ['interpreter', 'interviewer'], note: ['interviewer'] }

function speakerOf(kind: UtteranceKind, hearing: TodaysHearing): ParticipantID {
  const found = speakers[kind].map((role) => hearing.people.find((p) => p.role === role)).find((p) => p !== undefined)
  return found?.participant ?? 'par_'
}

/** Staff write Finnish; words in another script are the hearing's language. */
function languageOf(text: string, hearing: TodaysHearing): string {
  return /\p{L}/u.test(text.replace(/\p{Script=Latin}/gu, '')) ? hearing.language : 'fi'
}

/** The transcript, typed against the hearing clock; the keyboard is enough for all of it. */
export function Editor({ hearing, initial, now }: { hearing: TodaysHearing; initial: Utterance[]; now: () => Micros }) {
  const { t } = useTexts()
  const [store] = useState(() => new Lines(initial, (line) => api.put(hearing.hearing, { ...line, speaker: speakerOf(line.kind, hearing), language: languageOf(line.text, hearing) })))
  const { lines, save } = useSyncExternalStore(store.subscribe, store.snapshot)
  const list = useRef<HTMLOListElement>(null)
  const focus = useRef('')

  useEffect(() => {
    const flush = () => void store.flush()
    addEventListener('online', flush)
    return () => {
      removeEventListener('online', flush)
      store.close()
    }
  }, [store])

  useEffect(() => {
    if (focus.current === '') return
    list.current?.querySelector<HTMLTextAreaElement>(`[data-line="${focus.current}"]`)?.focus()
    focus.current = ''
  }, [lines])

  const add = (kind: UtteranceKind) => {
    const line = store.add(kind, now())
    focus.current = line.utterance
  }

  const onKey = (line: Utterance) => (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault()
      if (line.text.trim() !== '') add(after[line.kind])
      return
    }
    const number = event.ctrlKey && !event.altKey ? Number(event.key) : NaN
    if (number >= 1 && number <= utteranceKinds.length) {
      event.preventDefault()
      store.change(line.utterance, { kind: utteranceKinds[number - 1] }, now())
    }
  }

  return (
    <Section title={t('staff.editor.title')} className="card stack editor">
      <div className="row spread">
        <p className="quiet small keys">{t('staff.editor.keys')}</p>
        <span className={`save ${save}`} role="status">
          <Icon name={save === 'saved' ? 'check' : save === 'saving' ? 'pause' : 'warning'} size={18} />
          {t(`staff.editor.${save}`)}
        </span>
      </div>
      <ol ref={list} className="lines">
        {lines.map((line) => (
          <li key={line.utterance} className={`line ${line.kind}`}>
            <span className="at" dir="ltr">
              {clockText(line.at)}
            </span>
            <span className="kind">{t(`shared.record.kind.${line.kind}`)}</span>
            <textarea
              data-line={line.utterance}
              rows={1}
              dir="auto"
              value={line.text}
              aria-label={t('staff.editor.text', { kind: t(`shared.record.kind.${line.kind}`), time: clockText(line.at) })}
              onChange={(event) => store.change(line.utterance, { text: event.target.value }, now())}
              onKeyDown={onKey(line)}
            />
          </li>
        ))}
      </ol>
      {lines.length === 0 && <p className="quiet">{t('staff.editor.empty')}</p>}
      <div>
        <Button look="secondary" onPress={() => add(lines.length === 0 ? 'question' : after[lines[lines.length - 1].kind])}>
          {t('staff.editor.add')}
        </Button>
      </div>
    </Section>
  )
}
