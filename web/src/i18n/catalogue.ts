import type { fi } from './fi'

type Texts<T> = { [K in keyof T]: T[K] extends string ? string : Texts<T[K]> }

/** All texts of one language; a key that Finnish has and another lacks does not compile. */
export type Catalogue = Texts<typeof fi>

/** What the applicant's page shows: everything but the staff's own words. */
export type ApplicantCatalogue = Omit<Catalogue, 'staff'>
