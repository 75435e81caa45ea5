import type { Amendment, Record as Sealed, Utterance } from '../api/model'
import { clockText, useTexts } from '../i18n'

/** One line of the transcript with the corrections that stand beside it. */
export function Line({ line, amendments, large = false }: { line: Utterance; amendments: Amendment[]; large?: boolean }) {
  const { t } = useTexts()
  return (
    <div className={`line read ${line.kind}${large ? ' large' : ''}`}>
      <span className="at" dir="ltr">
        {clockText(line.at)}
      </span>
      <span className="kind">{t(`shared.record.kind.${line.kind}`)}</span>
      <div className="said">
        <p dir="auto">{line.text}</p>
        {amendments
          .filter((a) => a.utterance === line.utterance)
          .map((a) => (
            <AmendmentText key={a.amendment} amendment={a} />
          ))}
      </div>
    </div>
  )
}

export function LineList({ lines, amendments = [] }: { lines: Utterance[]; amendments?: Amendment[] }) {
  return (
    <ol className="lines">
      {lines.map((l) => (
        <li key={l.utterance}>
          <Line line={l} amendments={amendments} />
        </li>
      ))}
    </ol>
  )
}

/** A correction: numbered, attributed, beside the original, with its answer. */
export function AmendmentText({ amendment }: { amendment: Amendment }) {
  const { t, moment } = useTexts()
  return (
    <div className="amendment">
      <p className="small">
        <strong>{t('shared.record.amendment', { number: amendment.number })}</strong>{' '}
        <span className="quiet">{t('shared.record.by', { role: t(`shared.role.${amendment.role}`), when: moment(amendment.made) })}</span>
      </p>
      <p dir="auto">{amendment.text}</p>
      <p className="small">
        {amendment.answer === null ? (
          <span className="quiet">{t('shared.record.pending')}</span>
        ) : (
          <>
            <span className="tag info">{t(`shared.record.${amendment.answer.decision}`)}</span> <span className="quiet">{t('shared.record.answer')}:</span>{' '}
            <span dir="auto">{amendment.answer.text}</span>
          </>
        )}
      </p>
    </div>
  )
}

export function SealedFacts({ record }: { record: Sealed }) {
  const { t, moment } = useTexts()
  return (
    <p className="quiet small">
      {t('shared.record.version', { version: record.version })} · {t('shared.record.sealed', { when: moment(record.sealed) })} · {t('shared.record.hash')}{' '}
      <code dir="ltr">{record.hash.slice(0, 16)}</code>
    </p>
  )
}
