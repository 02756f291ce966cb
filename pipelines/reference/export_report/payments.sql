SELECT id, channel, payer, amount, paid_on FROM payment
WHERE paid_on = :dt AND amount >= :least
ORDER BY id
