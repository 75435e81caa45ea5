import { useState } from 'react'
import { Problem } from '../api/problem'
import { resume } from '../api/session'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { Button, Notice } from '../ui/controls'
import { ProblemNotice } from '../ui/Refusal'

/** The page without a session: what it means and how to get in, with nothing behind it. */
export function StartNeeded({ problem }: { problem: Document | null }) {
  const { t } = useTexts()
  const [failed, setFailed] = useState<Document | null>(problem)
  const [asked, setAsked] = useState(false)
  const again = async () => {
    try {
      const opened = await resume()
      setAsked(!opened)
      setFailed(null)
    } catch (thrown) {
      setFailed(Problem.of(thrown).document)
    }
  }
  return (
    <main id="content" className="page narrow stack" tabIndex={-1}>
      <h1>{t('shared.start.title')}</h1>
      <div className="card stack">
        <p>{t('shared.start.body')}</p>
        {failed !== null && <ProblemNotice problem={failed} />}
        <Notice title={t('shared.refusal.way')} live={asked}>
          <p>{t('shared.start.how')}</p>
        </Notice>
        <p className="quiet">{t('shared.start.help')}</p>
        <div>
          <Button look="secondary" isDisabled={asked} onPress={() => void again()}>
            {t('shared.retry')}
          </Button>
        </div>
      </div>
    </main>
  )
}

export function Unsupported() {
  const { t } = useTexts()
  return (
    <main id="content" className="page narrow stack" tabIndex={-1}>
      <h1>{t('shared.browser.title')}</h1>
      <div className="card stack">
        <p>{t('shared.browser.body')}</p>
        <Notice title={t('shared.refusal.way')}>
          <p>{t('shared.browser.how')}</p>
        </Notice>
      </div>
    </main>
  )
}
