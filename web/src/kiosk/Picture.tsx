/** What each drawing shows; it stands above words and speech, which say the same. */
export type Subject = 'hearing' | 'other' | 'code' | 'document' | 'chip' | 'reading' | 'join' | 'desk' | 'again'

const book = (
  <>
    <path d="M60 26h48a8 8 0 0 1 8 8v88a8 8 0 0 1-8 8H60z" fill="var(--brand)" stroke="none" />
    <circle cx="88" cy="66" r="16" fill="none" stroke="#fff" strokeWidth="4" />
    <path d="M72 66h32M88 50c-9 10-9 22 0 32M88 50c9 10 9 22 0 32M70 104h36" stroke="#fff" strokeWidth="4" fill="none" />
  </>
)

const openBook = (
  <>
    <path d="M20 40h76v66H20z" fill="var(--paper)" />
    <path d="M20 106h76v34H20z" fill="var(--paper)" />
    <path d="M30 52h24v34H30z" fill="var(--fi-color-highlight-light2)" />
    <circle cx="42" cy="64" r="6" fill="var(--brand)" stroke="none" />
    <path d="M32 86c1-10 19-10 20 0z" fill="var(--brand)" stroke="none" />
    <path d="M62 58h26M62 70h26M62 82h18M28 122h60M28 131h60" />
  </>
)

const arrow = <path className="moves" d="M140 20v44m-14-14 14 14 14-14" strokeWidth="8" />

const drawings: Record<Subject, React.ReactNode> = {
  hearing: (
    <>
      <circle cx="52" cy="52" r="18" fill="var(--brand)" stroke="none" />
      <path d="M20 118c2-40 62-40 64 0z" fill="var(--brand)" stroke="none" />
      <path d="M96 34h64v46h-34l-14 16V80H96z" fill="var(--paper)" />
      <path d="M108 50h40M108 64h26" />
    </>
  ),
  other: (
    <>
      <circle cx="90" cy="46" r="22" fill="var(--brand)" stroke="none" />
      <path d="M46 128c4-56 84-56 88 0z" fill="var(--brand)" stroke="none" />
      <path d="M20 128h140" strokeWidth="8" />
    </>
  ),
  code: (
    <>
      <path d="M34 18h86l24 24v104H34z" fill="var(--paper)" />
      <path d="M52 44h50M52 58h66M52 72h40" />
      <path d="M50 92h78v30H50z" fill="var(--fi-color-highlight-light2)" strokeWidth="6" />
      <path d="M60 107h10m8 0h10m8 0h10" strokeWidth="6" />
    </>
  ),
  document: (
    <>
      {openBook}
      <path d="M8 148h164" strokeWidth="8" />
      {arrow}
    </>
  ),
  chip: (
    <>
      {book}
      <path d="M30 142h116" strokeWidth="10" stroke="var(--brand)" />
      {arrow}
    </>
  ),
  reading: (
    <>
      {book}
      <path className="waves" d="M130 52c10 14 10 38 0 52M144 42c16 20 16 52 0 72" strokeWidth="7" />
      <path d="M30 142h116" strokeWidth="10" stroke="var(--brand)" />
    </>
  ),
  join: (
    <>
      <circle cx="90" cy="80" r="62" fill="var(--fi-color-success-base)" stroke="none" />
      <path d="m60 82 22 22 40-44" stroke="#fff" strokeWidth="14" fill="none" />
    </>
  ),
  desk: (
    <>
      <circle cx="90" cy="44" r="20" fill="var(--brand)" stroke="none" />
      <path d="M50 106c4-44 76-44 80 0z" fill="var(--brand)" stroke="none" />
      <path d="M20 106h140v34H20z" fill="var(--paper)" />
    </>
  ),
  again: (
    <>
      <path d="M134 60a50 50 0 1 0 6 34" strokeWidth="12" fill="none" />
      <path d="M142 22v42h-42" strokeWidth="12" fill="none" />
    </>
  ),
}

export function Picture({ of }: { of: Subject }) {
  return (
    <svg className="picture" viewBox="0 0 180 160" fill="none" stroke="var(--brand)" strokeWidth="5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      {drawings[of]}
    </svg>
  )
}
