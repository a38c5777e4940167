/** Bounds of forms, and of the sounds and images in them, each with its reason. */

/** A form with a sound: OpenAI's largest file (25 MB), with room for what grows, and its fields. */
export const FORM_SOUND_BYTES_MAX = 32 * 1024 * 1024
/** A form with images: two of OpenAI's largest (50 MB), or sixteen of 8 MB. */
export const FORM_IMAGES_BYTES_MAX = 128 * 1024 * 1024
/**
 * A form up to here is bounded exactly, and stays in memory where there is room: two minutes of
 * speech, or an image.
 */
export const FORM_MEMORY_BYTES = 1024 * 1024
/** Small pieces of a form in memory become one up to here: each costs some 200 bytes by itself. */
export const FORM_PIECE_BYTES = 4 * 1024
/** Read back at once from where a form is kept. */
export const FORM_READ_BYTES = 256 * 1024
/** Of a refused form so much is read and forgotten: many clients only listen when all is sent. */
export const FORM_DRAIN_BYTES_MAX = 64 * 1024 * 1024
/** A prompt that may come after the file: four times the 224 tokens that whisper reads. */
export const FORM_LATE_PROMPT_BYTES = 4 * 1024
/** Fields of one form together: a prompt, and lists of words or speakers. */
export const FORM_FIELDS_BYTES_MAX = 1024 * 1024
/** Sixteen images, a mask and some markup. */
export const FORM_FILES_MAX = 24
/** Sixteen images, a mask, and lists of words or speakers, one part each. */
export const FORM_PARTS_MAX = 256
/** Headers of one part of a form: two lines with a file's name. */
export const FORM_HEAD_BYTES_MAX = 4 * 1024
/** A field that is no file: the longest prompt has 32 000 characters. */
export const FORM_FIELD_BYTES_MAX = 256 * 1024
/**
 * All forms of one process together: on disk; in memory, while they are short or where there is no
 * disk. One account alone has half of it: the longest form, at least.
 */
export const FORMS_KEPT_BYTES_MAX = 4 * 1024 * 1024 * 1024
export const FORMS_KEPT_IN_MEMORY_BYTES_MAX = 256 * 1024 * 1024
/** What is read of them stays in memory: some kB of a sound, up to 7 MB of 24 images and fields. */
export const FORMS_READ_BYTES_MAX = 256 * 1024 * 1024
/** First chunks of a WAV file, among them its format; notes on its making come before the sound. */
export const SOUND_HEAD_BYTES = 4 * 1024
/** Images of one request (`n`): OpenAI's own maximum. */
export const IMAGES_MAX = 10
/** Reading a sound file's length: some milliseconds. Longer takes a file that was made to. */
export const AUDIO_READ_MS_MAX = 2_000
/** Starting a thread that reads them, where everything else is busy too. */
export const AUDIO_START_MS_MAX = 20_000
/** A file that takes its time leaves the other thread to the rest. */
export const AUDIO_THREADS = 2
/** Waiting for a thread: as long as five files that take all their time. Then: ask again. */
export const AUDIO_WAIT_MS_MAX = 10_000
/**
 * Sound files that are read or wait to be: seconds of work. They wait where they are kept. One
 * account alone has half of them.
 */
export const AUDIO_QUEUE_MAX = 64
