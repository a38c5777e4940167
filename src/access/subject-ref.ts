/**
 * What a subject_ref may be: what a header carries as it is, so that whoever can be created can be
 * named. Blanks at its ends would be stripped on the way and name somebody else.
 */
export const SUBJECT_REF = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/
