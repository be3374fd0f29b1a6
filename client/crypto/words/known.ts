// Passphrases of twenty and more characters that are known to everybody and are therefore refused: famous examples, keyboard
// rows, alphabets, first lines. Spaces, marks and capitals do not make them others.

export const KNOWN_PASSPHRASES: readonly string[] = [
  "correct horse battery staple", "correcthorsebatterystaple1", "1234567890 1234567890", "12345678901234567890",
  "01234567890123456789", "11223344556677889900", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz",
  "zyxwvutsrqponmlkjihgfedcba", "abcdefghijklmnopqrstuvwxyz0123456789", "qwertyuiopasdfghjklzxcvbnm",
  "qwertyuiopasdfghjklñzxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn", "qazwsxedcrfvtgbyhnujmikolp", "qwertyuiop1234567890",
  "1234567890qwertyuiop", "password password password", "passwordpassword1234", "my password is password",
  "this is my password", "this is my passphrase", "this is a very long password", "letmein letmein letmein",
  "let me in let me in now", "i love you i love you", "iloveyou iloveyou iloveyou", "the quick brown fox jumps over the lazy dog",
  "the quick brown fox jumps", "to be or not to be that is the question", "to be or not to be", "may the force be with you",
  "in the beginning was the word", "in the beginning god created", "the lord is my shepherd", "our father who art in heaven",
  "hallowed be thy name", "twinkle twinkle little star", "happy birthday to you", "row row row your boat",
  "mary had a little lamb", "once upon a time there was", "it was the best of times", "call me ishmael some years ago",
  "i have a dream that one day", "we the people of the united states", "four score and seven years ago",
  "never gonna give you up", "winter is coming winter is coming", "live long and prosper always", "open sesame open sesame",
  "changeme changeme changeme", "please change this password", "admin admin admin admin", "administrator password",
  "contraseña contraseña contraseña", "esta es mi contraseña", "mi contraseña es muy larga", "padre nuestro que estas en el cielo",
  "en un lugar de la mancha", "cumpleaños feliz te deseamos", "te quiero mucho te quiero mucho", "abracadabra pata de cabra",
  "el perro de san roque no tiene rabo", "ser o no ser esa es la cuestion", "pharmacy pharmacy pharmacy", "farmacia farmacia farmacia",
];
