import type { ReactNode } from 'react'
import type { Document } from '../api/words'
import { useTexts } from '../i18n'
import { Notice } from './controls'

/** C9: what happened, by which rule, and the way that is still open. No refusal is shown without it. */
export function Refusal({ problem, applicant = false, children }: { problem: Document; applicant?: boolean; children?: ReactNode }) {
  const { t } = useTexts()
  return (
    <main id="content" className="page narrow stack" tabIndex={-1}>
      <h1>{t('shared.refusal.title')}</h1>
      <div className="card stack">
        <div className="stack tight">
          <h2>{t('shared.refusal.what')}</h2>
          <p>{t(`problem.${problem.code}`)}</p>
          <p className="quiet small">
            {t('shared.refusal.rule')}: <code dir="ltr">{problem.rule ?? problem.code}</code>
          </p>
        </div>
        <Notice title={t('shared.refusal.way')}>
          <p>{t(`way.${problem.way}`)}</p>
        </Notice>
        {applicant && problem.code !== 'declined' && <p className="quiet">{t('shared.refusal.none')}</p>}
        {children}
      </div>
    </main>
  )
}

/** A problem beside the thing that it happened to. */
export function ProblemNotice({ problem }: { problem: Document | null }) {
  const { t } = useTexts()
  if (problem === null) return null
  return (
    <div role="alert">
      <Notice kind="alert" title={t(`problem.${problem.code}`)}>
        <p>{t(`way.${problem.way}`)}</p>
      </Notice>
    </div>
  )
}
