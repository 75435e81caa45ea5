import { useState } from 'react'
import { fi } from '../i18n/fi'
import { useTexts } from '../i18n'
import { Button, Notice, Section } from '../ui/controls'

/** A legal notice: in a language that no native reader has signed, the Finnish text stands beside. */
export function LegalText({ text, finnish }: { text: string; finnish: string }) {
  const { t, reviewed } = useTexts()
  if (reviewed) return <p>{text}</p>
  return (
    <div className="stack tight">
      <div className="beside">
        <p>{text}</p>
        <p lang="fi" dir="ltr">
          {finnish}
        </p>
      </div>
      <p className="quiet small">{t('applicant.unreviewed')}</p>
    </div>
  )
}

export type Answer = 'acknowledged' | 'refused'

/** That the interview is recorded: told before it begins, answered and noted either way. */
export function RecordingNotice({ onAnswer }: { onAnswer: (answer: Answer) => void }) {
  const { t } = useTexts()
  const [answer, setAnswer] = useState<Answer | null>(null)
  const give = (a: Answer) => {
    setAnswer(a)
    onAnswer(a)
  }
  return (
    <Section title={t('shared.notice.title')}>
      <LegalText text={t('shared.notice.body')} finnish={fi.shared.notice.body} />
      {answer === null ? (
        <div className="row">
          <Button large onPress={() => give('acknowledged')}>
            {t('shared.notice.acknowledge')}
          </Button>
          <Button large look="secondary" onPress={() => give('refused')}>
            {t('shared.notice.refuse')}
          </Button>
        </div>
      ) : (
        <Notice kind={answer === 'acknowledged' ? 'success' : 'warning'} title={t(`shared.notice.${answer}`)} live />
      )}
    </Section>
  )
}
